"""What transforming would take: every prompt that would be sent counted once, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, update

from rebase_db.schema import RetrievalLink
from rebase_db.transform.estimate import Estimate, estimate
from rebase_db.transform.provider import Usage
from tests.queue import rows
from tests.transform.asked_before import Asking, add_twins
from tests.transform.budgeted import Budgeted, begin
from tests.transform.fake_provider import FakeProvider, said

if TYPE_CHECKING:
    from sqlalchemy import Engine

PRICES: dict[str, Any] = {"input_price": Decimal(2), "output_price": Decimal(8)}


@pytest.fixture
def task(engine: Engine) -> Budgeted:
    """A task with six links that wait."""
    return begin(engine, 6)


def look(asking: Asking, count: int | None = None) -> Estimate:
    with asking.task.engine.connect() as connection:
        return estimate(connection, asking.task.lane, asking.teacher, *asking.ids, count)


def test_every_waiting_row_counts_once(task: Budgeted) -> None:
    asking = Asking(task, FakeProvider(answer_tokens=70))
    found = look(asking)
    prepared = asking.plan(task.links).ask
    assert found == Estimate(
        rows=6,
        stored=0,
        prompts=6,
        cut=0,
        prompt_tokens=sum(asking.provider.count_tokens(each.messages) for each in prepared),
        answer_tokens=None,
        most_answer_tokens=420,
        cost=None,
        most_cost=None,
        seconds=None,
    )


def test_rows_that_do_not_wait_do_not_count(task: Budgeted) -> None:
    gone = {"state": "cancelled", "finished_at": func.now()}
    with task.engine.begin() as connection:
        connection.execute(update(RetrievalLink).where(RetrievalLink.link_id == task.links[0]).values(gone))
        retrieval = rows.add_retrieval(connection, *task.lane)
        displaced = update(RetrievalLink).where(RetrievalLink.link_id == task.links[1])
        connection.execute(displaced.values(displaced_by=retrieval))
    assert look(Asking(task)).rows == 4


def test_of_some_rows_the_best_are_looked_at(task: Budgeted) -> None:
    asking = Asking(task)
    best = asking.plan(task.links[:2]).ask
    found = look(asking, 2)
    assert found.rows == 2
    assert found.prompt_tokens == sum(asking.provider.count_tokens(each.messages) for each in best)
    assert look(asking, 100).rows == 6
    assert look(asking, 0) == Estimate(0, 0, 0, 0, 0, None, 0, None, None, None)


def test_equal_prompts_count_once_wherever_they_stand(task: Budgeted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they are read in different slices."""
    add_twins(task, 5)
    at_once = look(Asking(task))
    monkeypatch.setattr("rebase_db.transform.estimate._ROWS_A_SLICE", 2)
    found = look(Asking(task))
    assert (found.rows, found.prompts, found.stored) == (11, 7, 4)
    assert found == at_once


def test_what_is_stored_costs_nothing(task: Budgeted) -> None:
    asking = Asking(task)
    asking.ask(task.links[:2])  # their links wait still
    found = look(asking)
    assert (found.rows, found.prompts, found.stored) == (6, 4, 2)
    assert found.most_answer_tokens == 4 * asking.provider.limits.answer_tokens


def test_cut_rows_are_told(task: Budgeted) -> None:
    add_twins(task, 2, "word " * 3000)
    found = look(Asking(task, FakeProvider(context_tokens=1500)))
    assert (found.rows, found.prompts, found.cut) == (8, 7, 1)


def test_with_prices_the_most_is_known_before_the_first_answer(task: Budgeted) -> None:
    found = look(Asking(task, FakeProvider(answer_tokens=50, **PRICES)))
    assert found.cost is None
    assert found.most_cost == Decimal(found.prompt_tokens * 2 + 6 * 50 * 8) / 1_000_000


def test_answers_so_far_tell_tokens_cost_and_time(task: Budgeted) -> None:
    lengths = iter([10, 30])

    def behave(request: Any, _: Any) -> Any:
        return said(request, "no", usage=Usage(100, next(lengths)))

    asking = Asking(task, FakeProvider(behave, in_flight=4, **PRICES))
    asking.ask(task.links[:2])
    found = look(asking)
    assert found.prompts == 4
    assert found.answer_tokens == 4 * 20
    assert found.cost == Decimal(found.prompt_tokens * 2 + 80 * 8) / 1_000_000
    assert found.seconds == pytest.approx(4 * 0.01 / 4)  # each takes 0.01 s


def test_answers_used_again_say_nothing_of_tokens_and_time(task: Budgeted) -> None:
    asking = Asking(task, FakeProvider(lambda request, _: said(request, "no", usage=Usage(100, 10))))
    asking.ask(task.links[:1])
    before = look(asking)
    asking.ask(task.links[:1])  # from the store: no time, no tokens
    assert look(asking) == before
