"""Idle workers wake when work comes, by notification and, should that be lost, by polling."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db import queue
from rebase_db.control import pause, prioritize, resume, retry
from rebase_db.queue import QUEUES, Queue
from tests.queue import rows
from tests.queue.stub_stage import StubStage
from workers import wake as wake_module
from workers.wake import Wake
from workers.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from tests.schema.chain import Row

Chain = dict[str, "Row"]
LISTENERS = text(
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%rebase_work%'"
)
NEVER = 600.0


@pytest.fixture(autouse=True)
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a test asks for it, so that nothing but a notification can be the cause of waking."""
    monkeypatch.setattr(wake_module, "POLL_SECONDS", NEVER)


def wait_until(true: Callable[[], object]) -> None:
    """Wait for something to be so; the test's own timeout bounds it."""
    while not true():
        threading.Event().wait(0.01)


@pytest.fixture
def wake(engine: Engine) -> Iterator[Wake]:
    """A listener that listens."""
    wake = Wake(engine)
    wait_until(lambda: wake.times == 1)
    yield wake
    wake.close()


@contextmanager
def sleeper(wake: Wake, seconds: float | None = None) -> Iterator[threading.Thread]:
    """A thread that waits to be woken."""
    seen = wake.times
    sleeping = threading.Thread(target=lambda: wake.wait(seen, seconds))
    sleeping.start()
    yield sleeping
    sleeping.join(timeout=60)
    assert not sleeping.is_alive()


@pytest.mark.parametrize("of", QUEUES, ids=lambda of: of.name)
def test_new_rows_wake_who_waits_once_they_are_committed(
    engine: Engine, own_chain: Chain, wake: Wake, of: Queue
) -> None:
    with sleeper(wake) as sleeping, engine.begin() as connection:
        rows.add_ready(connection, own_chain, of, 50)
        sleeping.join(timeout=0.1)
        assert sleeping.is_alive()  # nobody can see the rows yet
        assert wake.times == 1
    assert wake.times == 2  # once, not once a row


CONTROLS: dict[str, Callable[[Connection], object]] = {
    "retry": lambda connection: retry(connection, "letters", ["transform"]),
    "resume": lambda connection: resume(connection, "letters"),
    "prioritize": lambda connection: prioritize(connection, "letters", 1),
}


@pytest.mark.usefixtures("own_chain")
@pytest.mark.parametrize("what", CONTROLS)
def test_what_gives_workers_something_to_do_wakes_them(engine: Engine, wake: Wake, what: str) -> None:
    with engine.begin() as connection:
        pause(connection, "letters")
    with sleeper(wake), engine.begin() as connection:
        CONTROLS[what](connection)


def test_a_reason_to_wake_that_came_before_the_wait_is_not_slept_through(wake: Wake) -> None:
    seen = wake.times
    wake.wake()
    wake.wait(seen, NEVER)


def test_waiting_ends_by_itself(wake: Wake) -> None:
    with sleeper(wake, 0.01):
        pass
    assert wake.times == 1


def test_a_listener_leaves_nothing_behind(engine: Engine) -> None:
    wake = Wake(engine)
    wait_until(lambda: wake.times == 1)
    wake.close()
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with engine.connect() as connection:
        wait_until(lambda: not connection.execute(LISTENERS).all())
    assert not [thread for thread in threading.enumerate() if thread.name == "rebase-listen"]


def kill_listener(engine: Engine) -> None:
    """End the listener's connection, and wait until it is gone."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        (pid,) = connection.execute(LISTENERS).scalars().all()
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        wait_until(lambda: pid not in connection.execute(LISTENERS).scalars().all())


def test_a_listener_that_comes_back_wakes_everybody_once(
    engine: Engine, wake: Wake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For what was added while nobody listened."""
    monkeypatch.setattr(wake_module, "RECONNECT_SECONDS", 0.01)
    with sleeper(wake):
        kill_listener(engine)
    assert wake.times == 2


@contextmanager
def idle_worker(engine: Engine, of: Queue) -> Iterator[StubStage]:
    """A worker on one queue that has found nothing to do and listens."""
    stage = StubStage(of)
    worker = Worker(engine, WorkerOptions(stages=[of.stage]), stages=lambda *_: [stage])
    thread = threading.Thread(target=worker.run)
    thread.start()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        wait_until(lambda: connection.execute(LISTENERS).all())
    try:
        yield stage
    finally:
        worker.stop()
        thread.join(timeout=60)
    assert stage.closed == 1


def all_done(engine: Engine, of: Queue, ids: list[int]) -> bool:
    with engine.connect() as connection:
        return rows.states(connection, of, ids) == {of.machine.next_state_of("done")}


@pytest.mark.parametrize("of", QUEUES, ids=lambda of: of.name)
def test_a_worker_without_polling_does_what_comes(engine: Engine, own_chain: Chain, of: Queue) -> None:
    with idle_worker(engine, of):
        with engine.begin() as connection:
            ids = rows.add_ready(connection, own_chain, of, 5)
        wait_until(lambda: all_done(engine, of, ids))


def test_a_row_added_while_the_listener_is_gone_is_found_by_polling(
    engine: Engine, own_chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_module, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(wake_module, "RECONNECT_SECONDS", NEVER)
    with idle_worker(engine, queue.EMBED):
        kill_listener(engine)
        with engine.begin() as connection:
            ids = rows.add_ready(connection, own_chain, queue.EMBED, 1)
        wait_until(lambda: all_done(engine, queue.EMBED, ids))


def test_a_row_added_while_the_listener_is_gone_is_found_when_it_is_back(
    engine: Engine, own_chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_module, "RECONNECT_SECONDS", 0.5)
    with idle_worker(engine, queue.EMBED):
        kill_listener(engine)
        with engine.begin() as connection:
            ids = rows.add_ready(connection, own_chain, queue.EMBED, 1)
        wait_until(lambda: all_done(engine, queue.EMBED, ids))


def test_a_row_whose_time_comes_is_found_by_polling(
    engine: Engine, own_chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing tells of that."""
    monkeypatch.setattr(wake_module, "POLL_SECONDS", 0.2)
    with idle_worker(engine, queue.EMBED) as stage:
        with engine.begin() as connection:
            ids = rows.add_ready(connection, own_chain, queue.EMBED, 1)
            later = "UPDATE embed_chunk SET ready_at = ready_at + interval '1 second' WHERE state = 'waiting'"
            connection.execute(text(later))
        wait_until(lambda: all_done(engine, queue.EMBED, ids))
    assert len(stage.batches) == 1
