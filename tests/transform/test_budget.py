"""Limits as people set them: what was spent before counts, whoever is writing meanwhile; and where a task stands."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, text

from rebase_db import queue
from rebase_db.check.current import CurrentExample, NewestResult, current_examples
from rebase_db.check.decide import decide
from rebase_db.lanes import ready_lanes
from rebase_db.outcomes import Done
from rebase_db.schema.hot import WAKE_CHANNEL
from rebase_db.transform.budget import (
    BudgetState,
    Limits,
    drop_limits,
    is_exhausted,
    is_limited,
    read_budget,
    set_budget,
)
from rebase_db.transform.provider import Reply
from rebase_db.transform.reservation import Spent, settle
from rebase_db.transform.store import write_answers
from rebase_db.transform.teacher import Answer, Prepared, SourceRow
from tests.queue import rows
from tests.schema.chain import add, digest
from tests.transform.budgeted import Budgeted, add_generation, begin, each_takes, taking

if TYPE_CHECKING:
    from sqlalchemy import Connection

TEN = each_takes(taking(10))


@pytest.fixture
def task(engine: Engine) -> Budgeted:
    """A task with four links that wait."""
    return begin(engine, 4)


def spend(connection: Connection, task: Budgeted, worker: int, link: int, tokens: int) -> None:
    """Write a call, settle it and move its link on, as whoever claimed the link does; not committed."""
    claim = task.claim_of(link)
    queue.hold(connection, queue.TRANSFORM, worker, [claim])
    prepared = Prepared(SourceRow(link, "letters", "default", {}), digest(link), [], {}, taking(tokens))
    answer = Answer(prepared, Reply(link, "{}", 0.1, usage=taking(tokens)), reject_reason="wrong_keys: none")
    keys = {"task_version_id": task.lane[0], "teacher_id": 1, "prompt_id": 1}
    write_answers(connection, worker, {link: claim}, [answer], [], **keys)
    settle(connection, task.lane[0], worker, [Spent(link, claim.attempt, taking(tokens))])
    queue.settle(connection, queue.TRANSFORM, worker, [(claim, Done())])


def test_a_task_without_limits_has_no_budget(task: Budgeted) -> None:
    with task.engine.connect() as connection:
        assert read_budget(connection, task.name) is None
        assert not is_limited(connection, task.lane[0])
        assert not is_exhausted(connection, task.lane[0])


def test_limits_are_kept_until_they_are_changed(task: Budgeted) -> None:
    task.limit(tokens=10, cost=Decimal("0.5"))
    task.limit(tokens=20)
    task.limit(examples=3)
    assert task.state() == BudgetState(Limits(Decimal("0.5"), 20, 3), Decimal(0), 0, Decimal(0), 0, 0, exhausted=False)


def test_what_was_spent_before_the_first_limit_counts(task: Budgeted) -> None:
    """Of all versions, of its judge too, and of failed calls; not of other tasks, and nothing twice that was reused."""
    with task.engine.begin() as connection:
        worker = rows.add_worker(connection)
        version = rows.add_version(connection, task.task_id, 2)
        retrieval = rows.add_retrieval(connection, version, task.lane[1])
        rows.copy_links(connection, version, task.lane[1], retrieval)
        newer = connection.execute(
            text("SELECT min(link_id) FROM retrieval_link WHERE task_version_id = :version"), {"version": version}
        ).scalar_one()
        first = add_generation(
            connection, task.links[0], worker, tokens=10, cost=Decimal("0.01"), outcome="parsed", reason=None,
            reading="strict",
        )  # fmt: skip
        add_generation(connection, task.links[0], worker, attempt=2, tokens=5, outcome="error", reason="broke")
        add_generation(connection, task.links[1], worker, tokens=None, outcome="error", reason="silence")
        add_generation(
            connection, task.links[2], worker, tokens=None, requests=0, raw_answer=None, reused_from=first,
            prompt_hash=digest(("prompt", task.links[0])),
        )  # fmt: skip
        add_generation(connection, newer, worker, tokens=100)
        example = add(
            connection, "example", generation_id=first, link_id=task.links[0], input="a", output="b",
            content_hash=digest("e"),
        )  # fmt: skip
        add(
            connection, "judgement", example_id=example["example_id"], teacher_id=1, prompt_id=1, worker_id=worker,
            prompt_hash=digest("j"), raw_answer="{}", latency_seconds=0.1, outcome="judged", points=4, prompt_tokens=20,
            completion_tokens=3, cost=Decimal("0.002"),
        )  # fmt: skip
    task.limit(tokens=1000)
    assert (task.state().spent_tokens, task.state().spent_cost) == (138, Decimal("0.012"))


def test_what_was_spent_before_is_counted_once(task: Budgeted) -> None:
    with task.engine.begin() as connection:
        add_generation(connection, task.links[0], rows.add_worker(connection), tokens=10)
    task.limit(tokens=1000)
    task.limit(tokens=2000)
    assert task.state().spent_tokens == 10


def test_a_limit_may_lie_below_what_is_spent(task: Budgeted) -> None:
    with task.engine.begin() as connection:
        add_generation(connection, task.links[0], rows.add_worker(connection), tokens=10)
    task.limit(tokens=3)
    assert task.claim(task.worker(), 4, TEN) == []
    assert task.state().exhausted
    task.limit(tokens=20)
    assert len(task.claim(task.worker(), 4, TEN)) == 1


def wait_for_a_lock(engine: Engine, running: Future[None]) -> None:
    """Return once the other connection waits for this one's; fails if it does not need to."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
        while not watcher.execute(text(rows.LOCK_WAITERS)).scalar_one():
            assert not running.done(), "it did not wait"
            threading.Event().wait(0.01)


def test_a_first_budget_waits_for_a_call_that_is_being_written(task: Budgeted) -> None:
    worker = task.worker()
    (link,) = task.claim(worker, 1, TEN)
    with ThreadPoolExecutor(1) as other:
        with task.engine.begin() as writing:
            spend(writing, task, worker, link, 7)
            setting = other.submit(task.limit, tokens=100)
            wait_for_a_lock(task.engine, setting)
        setting.result(timeout=60)
    assert task.state().spent_tokens == 7


def test_a_call_that_is_being_written_waits_for_a_first_budget(task: Budgeted) -> None:
    """It is not there yet when the budget adds up, so it is counted when it settles."""
    worker = task.worker()
    (link,) = task.claim(worker, 1, TEN)

    def write() -> None:
        with task.engine.begin() as connection:
            spend(connection, task, worker, link, 7)

    with ThreadPoolExecutor(1) as other:
        with task.engine.begin() as setting:
            set_budget(setting, task.name, Limits(tokens=100))
            writing = other.submit(write)
            wait_for_a_lock(task.engine, writing)
        writing.result(timeout=60)
    assert task.state().spent_tokens == 7


def test_lifted_limits_leave_the_counting_on(task: Budgeted) -> None:
    task.limit(tokens=10, examples=1, cost=Decimal(1))
    worker = task.worker()
    (link,) = task.claim(worker, 4, each_takes(taking(10, "0.1")))
    with task.engine.begin() as connection:
        drop_limits(connection, task.name)
        assert not is_limited(connection, task.lane[0])
    task.settle(worker, {link: taking(6, "0.01")}, Done())
    state = task.state()
    assert (state.limits, state.spent_tokens, state.spent_cost) == (Limits(), 6, Decimal("0.01"))


def test_lifting_limits_serves_the_lane_again(task: Budgeted) -> None:
    task.limit(tokens=1)
    assert task.claim(task.worker(), 4, TEN) == []
    with task.engine.begin() as connection:
        assert ready_lanes(connection, queue.TRANSFORM) == []
        drop_limits(connection, task.name)
        assert [each.lane for each in ready_lanes(connection, queue.TRANSFORM)] == [task.lane]


@pytest.mark.parametrize("change", ["set", "lift"])
def test_idle_workers_are_told_of_new_limits(task: Budgeted, change: str) -> None:
    task.limit(tokens=1)
    with task.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as listening:
        listening.execute(text(f"LISTEN {WAKE_CHANNEL}"))
        with task.engine.begin() as connection:
            if change == "set":
                set_budget(connection, task.name, Limits(tokens=10))
            else:
                drop_limits(connection, task.name)
        driver = listening.connection.driver_connection
        assert driver is not None
        assert [notice.channel for notice in driver.notifies(timeout=5, stop_after=1)] == [WAKE_CHANNEL]


def test_examples_kept_out_open_an_exhausted_budget(task: Budgeted) -> None:
    """Others are wanted in their place."""
    task.limit(examples=1)
    worker = task.worker()
    (link,) = task.claim(worker, 4, TEN)
    with task.engine.begin() as connection:
        made = add_generation(connection, link, worker, outcome="parsed", reason=None, reading="strict")
        add(
            connection, "example", generation_id=made, link_id=link, input="a", output="b", content_hash=digest("e")
        )  # fmt: skip
    task.settle(worker, {link: taking(1)}, Done())
    with task.engine.begin() as connection:
        connection.execute(text("UPDATE budget SET exhausted_at = now() WHERE task_id = :task"), {"task": task.task_id})
        (example,) = current_examples(connection, task.lane)
        assert isinstance(example, CurrentExample)
        kept = decide(
            connection, task.lane[0], [example],
            {example.example_id: {"length": NewestResult(digest("check"), "fail", None)}}, ["length"],
        )  # fmt: skip
        assert kept.kept_out == 1
    assert not task.state().exhausted
    assert len(task.claim(worker, 4, TEN)) == 1
