"""A task with few rows does not wait for one with many; a task with a higher priority goes first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db import queue
from rebase_db.control import pause, prioritize, resume
from tests.queue import rows
from tests.queue.stub_stage import StubStage
from workers.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from rebase_db.queue import Lane
    from tests.schema.chain import Row

MANY = 20_000
FEW = 50
BATCH = 25


@pytest.fixture
def tasks(engine: Engine, own_chain: dict[str, Row], request: pytest.FixtureRequest) -> tuple[Lane, Lane]:
    """The lanes of a task with many links, as many as the test says, and of a later one with 50."""
    with engine.begin() as connection:
        rows.skip_keys(connection)
        rows.add_ready(connection, own_chain, queue.TRANSFORM, getattr(request, "param", 500))
        many = rows.lanes_of(connection, queue.TRANSFORM)[0]
        version = rows.add_task(connection, "second")
        retrieval = rows.add_retrieval(connection, version, many[1])
        rows.copy_links(connection, version, many[1], retrieval)
        few = (version, many[1])
        less = text("DELETE FROM retrieval_link WHERE task_version_id = :version AND rank > :few")
        connection.execute(less, {"version": version, "few": FEW})
    with engine.begin() as connection:
        later = text("UPDATE retrieval_link SET ready_at = now() WHERE task_version_id = :version")
        connection.execute(later, {"version": version})
    return many, few


def lanes_of_first_batches(engine: Engine, count: int, concurrency: int = 1) -> list[Lane]:
    """The lanes that a worker takes its first batches from."""
    stage = StubStage(queue.TRANSFORM, batch=BATCH)
    enough = threading.Event()

    def on_batch(*_: object) -> None:
        if len(stage.lanes) >= count:
            enough.set()
            worker.stop()

    options = WorkerOptions(stages=["transform"], concurrency=concurrency)
    worker = Worker(engine, options, on_batch, stages=lambda *_: [stage])
    worker.run()
    assert enough.is_set()
    return stage.lanes[:count]


@pytest.mark.parametrize("tasks", [MANY], indirect=True)
def test_the_second_task_is_served_by_the_second_batch(engine: Engine, tasks: tuple[Lane, Lane]) -> None:
    many, few = tasks
    lanes = lanes_of_first_batches(engine, 6)
    assert set(lanes[:2]) == {many, few}
    assert lanes[:4].count(few) == 2  # in turn, until it is done
    assert lanes[4:] == [many, many]


def test_slots_of_a_worker_take_turns_together(engine: Engine, tasks: tuple[Lane, Lane]) -> None:
    lanes = lanes_of_first_batches(engine, 4, concurrency=2)
    assert sorted(lanes) == sorted([*tasks, *tasks])


@pytest.mark.parametrize("first", [0, 1])
def test_a_higher_priority_goes_first(engine: Engine, tasks: tuple[Lane, Lane], first: int) -> None:
    with engine.begin() as connection:
        prioritize(connection, ["letters", "second"][first], 1)
    lanes = lanes_of_first_batches(engine, 3)
    assert lanes[:2] == [tasks[first]] * 2
    assert lanes[2] == tasks[0]  # by then the second has no more


def test_a_paused_task_is_left_out_and_comes_back(engine: Engine, tasks: tuple[Lane, Lane]) -> None:
    many, few = tasks
    with engine.begin() as connection:
        pause(connection, "letters")
    stage = StubStage(queue.TRANSFORM, batch=BATCH)
    Worker(engine, WorkerOptions(stages=["transform"], drain=True), stages=lambda *_: [stage]).run()
    assert stage.lanes == [few] * 2
    with engine.begin() as connection:
        resume(connection, "letters")
    assert lanes_of_first_batches(engine, 1) == [many]
