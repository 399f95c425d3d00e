"""A worker's life in the database: its beat, its lock, and what becomes of them when the connection is lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import event, select, text

from rebase_db import settings
from rebase_db.errors import RebaseError
from rebase_db.lease import Lease
from rebase_db.rescue import LIVENESS_LOCK
from rebase_db.schema import Worker

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy import Connection, Engine

HOLDER = text(
    "SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    " WHERE datname = current_database() AND classid = :kind AND objid = :id AND granted"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat every few milliseconds."""
    monkeypatch.setenv(settings.LEASE_SECONDS, "0.04")


def holder(connection: Connection, worker_id: int) -> int | None:
    """The server process that holds a worker's lock."""
    pid: int | None = connection.execute(HOLDER, {"kind": LIVENESS_LOCK, "id": worker_id}).scalar_one_or_none()
    connection.rollback()
    return pid


def heartbeat(connection: Connection, worker_id: int) -> dt.datetime:
    found = connection.execute(select(Worker.heartbeat_at).where(Worker.worker_id == worker_id)).scalar_one()
    connection.rollback()
    return found


def pause() -> None:
    threading.Event().wait(0.01)


def wait_for_beats(connection: Connection, worker_id: int, beats: int = 3) -> None:
    """Wait until the heartbeat has moved on; the test's own timeout bounds it."""
    for _ in range(beats):
        before = heartbeat(connection, worker_id)
        while heartbeat(connection, worker_id) == before:
            pause()


def test_a_lease_is_a_row_a_beat_and_a_lock_and_ends_with_all_three(engine: Engine) -> None:
    with engine.connect() as connection:
        with Lease(engine) as lease:
            assert holder(connection, lease.worker_id) is not None
            wait_for_beats(connection, lease.worker_id)
        assert holder(connection, lease.worker_id) is None
        row = connection.execute(select(Worker).where(Worker.worker_id == lease.worker_id)).one()
        assert row.stopped_at >= row.heartbeat_at > row.started_at
    assert not [thread for thread in threading.enumerate() if thread.name == "rebase-heartbeat"]


def test_a_lease_survives_the_loss_of_its_connection(engine: Engine) -> None:
    with Lease(engine) as lease, engine.connect() as connection:
        for _ in range(3):
            before = holder(connection, lease.worker_id)
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": before})
            connection.commit()
            while holder(connection, lease.worker_id) in {None, before}:
                pause()
            wait_for_beats(connection, lease.worker_id)


def test_the_beat_goes_on_while_something_else_holds_the_lock(engine: Engine) -> None:
    """As a connection of its own would, that was lost here but which the server still believes in."""
    with Lease(engine) as lease, engine.connect() as connection, engine.connect() as believed:
        waiting = threading.Thread(
            target=lambda: believed.execute(
                text("SELECT pg_advisory_lock(:kind, :id)"), {"kind": LIVENESS_LOCK, "id": lease.worker_id}
            )
        )
        waiting.start()  # first in line for the lock
        query = text("SELECT EXISTS (SELECT FROM pg_locks WHERE classid = :kind AND objid = :id AND NOT granted)")
        while not connection.execute(query, {"kind": LIVENESS_LOCK, "id": lease.worker_id}).scalar_one():
            connection.rollback()
            pause()
        lost = holder(connection, lease.worker_id)
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": lost})
        connection.commit()
        waiting.join(timeout=60)
        theirs = holder(connection, lease.worker_id)
        wait_for_beats(connection, lease.worker_id)
        assert holder(connection, lease.worker_id) == theirs
        believed.invalidate()
        while holder(connection, lease.worker_id) in {None, theirs}:
            pause()


def test_leases_come_and_go_without_leaving_connections_behind(engine: Engine) -> None:
    for _ in range(15):
        leases = [Lease(engine), Lease(engine)]
        for lease in leases:
            lease.close()
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with engine.connect() as connection:
        query = text("SELECT count(*), count(stopped_at) FROM worker")
        assert connection.execute(query).one() == (30, 30)


def test_a_server_that_is_away_for_a_while_is_waited_for(engine: Engine) -> None:
    away = threading.Event()
    refusals: list[None] = []

    @event.listens_for(engine, "do_connect")
    def refuse(*_: object) -> None:
        if away.is_set():
            refusals.append(None)
            raise psycopg.OperationalError("the server is away")

    with engine.connect() as connection, Lease(engine) as lease:  # which use both connections of the pool
        away.set()
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": holder(connection, lease.worker_id)})
        connection.commit()
        while len(refusals) < 2:
            pause()
        away.clear()
        wait_for_beats(connection, lease.worker_id)
        assert holder(connection, lease.worker_id) is not None
        away.set()
        before = len(refusals)
    assert len(refusals) > before  # closing could not say so to the server, which is no error


@pytest.mark.parametrize("length", ["1m", "0", "-5", "nan", "inf"])
def test_a_length_that_is_none_is_refused_before_anybody_signs_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, length: str
) -> None:
    monkeypatch.setenv(settings.LEASE_SECONDS, length)
    with pytest.raises(RebaseError, match="not a number of seconds"):
        Lease(engine)
    with engine.connect() as connection:
        assert connection.execute(select(Worker.worker_id)).all() == []
