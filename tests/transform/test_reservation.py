"""What is set aside and what is spent: never more than the limit together, and to the token what calls took."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import Engine, func, select, text, update

from rebase_db import queue
from rebase_db.lanes import ready_lanes
from rebase_db.outcomes import Done, Reject, Release, Retry
from rebase_db.rescue import rescue
from rebase_db.schema import RetrievalLink, Worker
from rebase_db.transform.provider import Reply, Usage
from rebase_db.transform.reservation import (
    Spent,
    exhaust_if_full,
    lane_has_room,
    reserve,
    settle,
    spent_on,
)
from tests.queue import rows
from tests.transform.budgeted import Budgeted, begin, each_takes, taking

TEN = each_takes(taking(10))


@pytest.fixture(autouse=True)
def server_long_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite's server may have started a moment ago, and live workers would be given time to come back."""
    monkeypatch.setattr("rebase_db.rescue.RECONNECT_SECONDS", 0)


@pytest.fixture
def task(engine: Engine) -> Budgeted:
    """A task with eight links that wait."""
    return begin(engine, 8)


def lanes(task: Budgeted) -> list[queue.Lane]:
    with task.engine.connect() as connection:
        return [each.lane for each in ready_lanes(connection, queue.TRANSFORM)]


def states(task: Budgeted) -> list[str]:
    """The states of the task's links, in the order of claiming."""
    with task.engine.connect() as connection:
        return [rows.read(connection, queue.TRANSFORM, link)["state"] for link in task.links]


def test_as_many_rows_are_claimed_as_fit(task: Budgeted) -> None:
    task.limit(tokens=35)
    assert sorted(task.claim(task.worker(), 8, TEN)) == sorted(task.links[:3])
    assert task.tokens() == (0, 30)
    assert states(task) == ["transforming"] * 3 + ["retrieved"] * 5


def test_a_row_that_just_fits_is_claimed(task: Budgeted) -> None:
    task.limit(tokens=30)
    assert len(task.claim(task.worker(), 8, TEN)) == 3


def test_rows_that_are_not_claimed_show_no_trace(task: Budgeted) -> None:
    """Neither a place further back nor events nor an attempt: it is as if they had not been looked at."""
    with task.engine.connect() as connection:
        before = {link: rows.read(connection, queue.TRANSFORM, link) for link in task.links}
    task.limit(tokens=35)
    task.claim(task.worker(), 8, TEN)
    with task.engine.connect() as connection:
        assert {link: rows.read(connection, queue.TRANSFORM, link) for link in task.links[3:]} == {
            link: before[link] for link in task.links[3:]
        }
        assert [rows.events(connection, queue.TRANSFORM, link) for link in task.links[3:]] == [[]] * 5


def test_rows_without_a_call_are_free(task: Budgeted) -> None:
    task.limit(tokens=10)
    claimed = task.claim(task.worker(), 8, each_takes(taking(10), free=task.links[1:5]))
    assert sorted(claimed) == sorted(task.links[:5])
    assert [link for link, _, _ in task.reservations()] == [task.links[0]]
    assert task.tokens() == (0, 10)


def test_rows_of_different_size_are_taken_in_their_order(task: Budgeted) -> None:
    """A small one does not overtake a large one that does not fit: the best ranked rows come first."""
    sizes = dict(zip(task.links, [10, 10, 50, 1, 1, 1, 1, 1], strict=True))
    task.limit(tokens=40)
    claimed = task.claim(
        task.worker(), 8, lambda _, claims: {each.item_id: taking(sizes[each.item_id]) for each in claims}
    )
    assert sorted(claimed) == sorted(task.links[:2])


def test_what_a_call_took_is_counted_to_the_token(task: Budgeted) -> None:
    task.limit(tokens=100, cost=Decimal(1))
    worker = task.worker()
    claimed = task.claim(worker, 2, each_takes(taking(40, "0.4")))
    assert task.state().held_cost == Decimal("0.8")
    task.settle(worker, {claimed[0]: Usage(7, 4, Decimal("0.000011"))}, Done())
    assert task.tokens() == (11, 40)
    assert (task.state().spent_cost, task.state().held_cost) == (Decimal("0.000011"), Decimal("0.4"))
    task.settle(worker, {claimed[1]: taking(0, "0")}, Release())
    assert task.tokens() == (11, 0)
    assert task.state().held_cost == 0


def test_what_is_freed_can_be_claimed_with(task: Budgeted) -> None:
    task.limit(tokens=20)
    worker = task.worker()
    claimed = task.claim(worker, 8, TEN)
    assert task.claim(worker, 8, TEN) == []
    task.settle(worker, dict.fromkeys(claimed, taking(5)), Done())
    assert task.claim(worker, 8, TEN) == [task.links[2]]
    assert task.tokens() == (10, 10)


def test_a_call_that_nobody_knows_the_end_of_counts_in_full(task: Budgeted) -> None:
    task.limit(tokens=20)
    worker = task.worker()
    claimed = task.claim(worker, 1, TEN)
    task.settle(worker, dict.fromkeys(claimed, None), Retry("no answer in time"))
    assert task.tokens() == (10, 0)
    assert task.reservations() == [(claimed[0], 10, True)]


@pytest.mark.parametrize(
    ("reply", "spent"),
    [
        (Reply(1, "{}", 0.1, usage=Usage(3, 4)), Usage(3, 4)),
        (Reply(1, "{}", 0.1, usage=Usage(3, None)), None),
        (Reply(1, "{}", 0.1), None),
        (Reply(1, None, 0.1, error="no answer in time", maybe_billed=True), None),
        (Reply(1, None, 0.1, error="turned away", retry_after=1, rate_limited=True), Usage(0, 0)),
        (Reply(1, None, 0.1, error="bad request"), Usage(0, 0)),
    ],
)
def test_what_a_reply_took(reply: Reply, spent: Usage | None) -> None:
    assert spent_on(reply) == spent


def lose_by_cancelling(task: Budgeted, link: int) -> None:
    with task.engine.begin() as connection:
        connection.execute(
            update(RetrievalLink)
            .where(RetrievalLink.link_id == link)
            .values(state="cancelled", worker_id=None, finished_at=func.now())
        )


def lose_by_rescue(task: Budgeted, link: int) -> None:
    with task.engine.begin() as connection:
        held = select(RetrievalLink.worker_id).where(RetrievalLink.link_id == link).scalar_subquery()
        connection.execute(update(Worker).where(Worker.worker_id == held).values(stopped_at=func.clock_timestamp()))
        assert rescue(connection, queue.TRANSFORM, rows.add_worker(connection)) == 1


def lose_by_rescue_and_claim(task: Budgeted, link: int) -> None:
    """The row is somebody's again, who has a call of its own."""
    lose_by_rescue(task, link)
    with task.engine.begin() as connection:
        worker = rows.add_worker(connection)
        connection.execute(
            update(RetrievalLink)
            .where(RetrievalLink.link_id == link)
            .values(ready_at=func.now() - text("interval '1 day'"))
        )
        assert [claim.item_id for claim in queue.claim(connection, queue.TRANSFORM, worker, 1, task.lane)] == [link]


@pytest.mark.parametrize("lose", [lose_by_cancelling, lose_by_rescue, lose_by_rescue_and_claim])
def test_a_row_lost_sight_of_counts_in_full_at_the_next_claim(task: Budgeted, lose: object) -> None:
    task.limit(tokens=25)
    lost_worker = task.worker()
    (lost,) = task.claim(lost_worker, 1, TEN)
    lose(task, lost)  # type: ignore[operator]
    assert task.tokens() == (0, 10)
    other = task.worker()
    assert len(task.claim(other, 8, TEN)) == 1
    assert task.tokens() == (10, 10)
    assert task.reservations()[0] == (lost, 10, True)
    # Late, it is refused, and counts nothing on top.
    assert task.settle(lost_worker, {lost: taking(3)}, Done()) == []
    assert task.tokens() == (10, 10)


def test_a_row_in_good_hands_is_not_presumed_spent(task: Budgeted) -> None:
    task.limit(tokens=25)
    first = task.worker()
    (mine,) = task.claim(first, 1, TEN)
    task.claim(task.worker(), 8, TEN)
    assert task.reservations()[0] == (mine, None, False)
    assert task.settle(first, {mine: taking(3)}, Done()) == [mine]
    assert task.tokens() == (3, 10)


def test_it_is_exhausted_once_nothing_is_under_way(task: Budgeted) -> None:
    task.limit(tokens=15)
    worker = task.worker()
    (first,) = task.claim(worker, 8, TEN)
    assert task.claim(worker, 8, TEN) == []
    assert not task.state().exhausted  # what is under way may take less than was set aside
    assert lanes(task) == [task.lane]
    task.settle(worker, {first: taking(10)}, Done())
    assert task.claim(worker, 8, TEN) == []
    assert task.state().exhausted
    assert lanes(task) == []


def test_it_is_not_exhausted_for_want_of_rows(task: Budgeted) -> None:
    task.limit(tokens=100)
    worker = task.worker()
    claimed = task.claim(worker, 8, TEN)
    task.settle(worker, dict.fromkeys(claimed, taking(10)), Done())
    assert task.claim(worker, 8, TEN) == []
    assert not task.state().exhausted


def test_a_higher_limit_serves_the_lane_again(task: Budgeted) -> None:
    task.limit(tokens=5)
    worker = task.worker()
    assert task.claim(worker, 8, TEN) == []
    assert lanes(task) == []
    task.limit(tokens=10)
    assert lanes(task) == [task.lane]
    assert len(task.claim(worker, 8, TEN)) == 1


def test_while_a_judge_holds_what_is_left_the_budget_is_not_exhausted(task: Budgeted) -> None:
    """What its call leaves over is there for rows."""
    task.limit(tokens=12)
    worker = task.worker()
    with task.engine.begin() as connection:
        assert reserve(connection, task.lane[0], worker, {task.links[0]: taking(5)}) == [task.links[0]]
    assert task.claim(worker, 8, TEN) == []
    assert lanes(task) == [task.lane]
    with task.engine.begin() as connection:
        settle(connection, task.lane[0], worker, [Spent(task.links[0], None, taking(2))])
    assert len(task.claim(worker, 8, TEN)) == 1
    assert task.tokens() == (2, 10)


def test_a_judge_that_settles_does_not_open_an_exhausted_budget(task: Budgeted) -> None:
    """Or it would be asked again and again, by whoever finds the budget open and then exhausted."""
    task.limit(tokens=9)
    worker = task.worker()
    assert task.claim(worker, 8, TEN) == []
    assert lanes(task) == []
    with task.engine.begin() as connection:
        assert reserve(connection, task.lane[0], worker, {task.links[0]: taking(5)}) == [task.links[0]]
    with task.engine.begin() as connection:
        settle(connection, task.lane[0], worker, [Spent(task.links[0], None, taking(2))])
    assert lanes(task) == []


def test_without_a_known_cost_nothing_fits_a_limit_of_cost(task: Budgeted) -> None:
    task.limit(cost=Decimal(1000))
    assert task.claim(task.worker(), 8, TEN) == []
    assert task.state().exhausted


def test_costs_are_kept_to_exactly(task: Budgeted) -> None:
    """Tenths, of which floating point has none."""
    task.limit(cost=Decimal("0.3"))
    worker = task.worker()
    assert len(task.claim(worker, 8, each_takes(taking(1, "0.1")))) == 3


@pytest.mark.parametrize(("limits", "claimed"), [({"tokens": 0}, 0), ({"cost": Decimal(0)}, 0), ({"examples": 0}, 0)])
def test_a_limit_of_nothing_is_one(task: Budgeted, limits: dict[str, object], claimed: int) -> None:
    task.limit(**limits)
    assert len(task.claim(task.worker(), 8, each_takes(taking(1, "0.1")))) == claimed


def test_of_several_limits_the_tightest_counts(task: Budgeted) -> None:
    task.limit(tokens=50, cost=Decimal(1), examples=4)
    assert len(task.claim(task.worker(), 8, each_takes(taking(10, "0.3")))) == 3


def test_examples_are_counted_with_those_in_hand(task: Budgeted) -> None:
    task.limit(examples=3)
    first, second = task.worker(), task.worker()
    one, other = task.claim(first, 2, TEN)
    assert len(task.claim(second, 8, TEN)) == 1
    assert task.claim(second, 8, TEN) == []
    task.settle(first, {one: taking(1)}, Done())
    assert task.claim(second, 8, TEN) == []
    task.settle(first, {other: taking(1)}, Reject("not_json: {"))
    assert len(task.claim(second, 8, TEN)) == 1


def test_with_examples_enough_the_lane_is_full_before_it_is_exhausted(task: Budgeted) -> None:
    task.limit(examples=1)
    worker = task.worker()
    claimed = task.claim(worker, 8, TEN)
    with task.engine.begin() as connection:
        exhaust_if_full(connection, task.lane)
    assert not task.state().exhausted
    task.settle(worker, dict.fromkeys(claimed, taking(1)), Done())
    assert task.claim(worker, 8, TEN) == []
    assert not task.state().exhausted  # until they have been compared with each other
    with task.engine.begin() as connection:
        assert not lane_has_room(connection, task.lane)
        exhaust_if_full(connection, task.lane)
    assert task.state().exhausted
    task.limit(examples=2)
    assert lanes(task) == [task.lane]
    with task.engine.connect() as connection:
        assert lane_has_room(connection, task.lane)


def test_a_lane_without_rows_has_no_room(task: Budgeted) -> None:
    with task.engine.begin() as connection:
        assert lane_has_room(connection, task.lane)
        connection.execute(
            update(RetrievalLink)
            .where(RetrievalLink.link_id.in_(task.links))
            .values(state="cancelled", finished_at=func.now())
        )
        assert not lane_has_room(connection, task.lane)


def test_without_a_budget_rows_are_claimed_and_nothing_is_kept(task: Budgeted) -> None:
    worker = task.worker()
    claimed = task.claim(worker, 8, TEN)
    assert len(claimed) == 8
    assert task.settle(worker, dict.fromkeys(claimed, taking(10)), Done()) == claimed
    assert task.reservations() == []


def test_a_call_made_before_there_was_a_budget_counts_when_it_settles(task: Budgeted) -> None:
    worker = task.worker()
    (early,) = task.claim(worker, 1, TEN)
    task.limit(tokens=100)
    task.settle(worker, {early: taking(7)}, Done())
    assert (task.state().spent_tokens, task.state().held_tokens) == (7, 0)


def test_a_judge_is_paid_for_as_far_as_it_goes(task: Budgeted) -> None:
    task.limit(tokens=25)
    worker = task.worker()
    with task.engine.begin() as connection:
        paid = reserve(connection, task.lane[0], worker, dict.fromkeys(task.links[:4], taking(10)))
    assert paid == task.links[:2]
    assert task.claim(worker, 8, TEN) == []
    with task.engine.begin() as connection:
        settle(connection, task.lane[0], worker, [Spent(link, None, taking(4)) for link in paid])
    assert task.tokens() == (8, 0)


@pytest.mark.parametrize(
    "gone", [{"stopped_at": func.now()}, {"heartbeat_at": func.now() - text("interval '2 hours'")}]
)
def test_a_judge_whose_worker_is_gone_counts_in_full(task: Budgeted, gone: dict[str, object]) -> None:
    task.limit(tokens=25)
    judge, worker = task.worker(), task.worker()
    with task.engine.begin() as connection:
        reserve(connection, task.lane[0], judge, {task.links[0]: taking(10)})
    task.claim(worker, 0, TEN)
    assert task.tokens() == (0, 10)
    with task.engine.begin() as connection:
        connection.execute(update(Worker).where(Worker.worker_id == judge).values(gone))
    assert len(task.claim(worker, 8, TEN)) == 1
    assert task.tokens() == (10, 10)


def test_a_judge_that_was_only_slow_is_not_counted_twice(task: Budgeted) -> None:
    """Its worker was silent for longer than a lease, and comes back with what its call took."""
    task.limit(tokens=12)
    judge, worker = task.worker(), task.worker()
    with task.engine.begin() as connection:
        reserve(connection, task.lane[0], judge, {task.links[0]: taking(10)})
        silent = {"heartbeat_at": func.now() - text("interval '2 hours'")}
        connection.execute(update(Worker).where(Worker.worker_id == judge).values(silent))
    task.claim(worker, 8, TEN)
    assert task.tokens() == (10, 0)
    with task.engine.begin() as connection:
        settle(connection, task.lane[0], judge, [Spent(task.links[0], None, taking(8))])
    spent, held = task.tokens()
    assert spent <= 12
    assert held == 0


def test_tasks_keep_to_budgets_of_their_own(engine: Engine, task: Budgeted) -> None:
    with engine.begin() as connection:
        other = rows.add_task(connection, "other")
        rows.copy_links(connection, other, task.lane[1], rows.add_retrieval(connection, other, task.lane[1]))
    task.limit(tokens=10)
    worker = task.worker()
    assert len(task.claim(worker, 8, TEN)) == 1
    elsewhere = Budgeted(engine, "other", 0, (other, task.lane[1]), [])
    assert len(elsewhere.claim(worker, 8, TEN)) == 8
    assert task.tokens() == (0, 10)


def test_versions_share_their_task_s_budget(engine: Engine, task: Budgeted) -> None:
    with engine.begin() as connection:
        second = rows.add_version(connection, task.task_id, 2)
        rows.copy_links(connection, second, task.lane[1], rows.add_retrieval(connection, second, task.lane[1]))
    task.limit(tokens=30)
    worker = task.worker()
    assert len(task.claim(worker, 2, TEN)) == 2
    newer = Budgeted(engine, task.name, task.task_id, (second, task.lane[1]), [])
    assert len(newer.claim(worker, 8, TEN)) == 1
    assert newer.tokens() == (0, 30)
