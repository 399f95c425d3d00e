"""Rows of dead workers come back; those of living ones do not."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text, update

from rebase_db import queue, settings
from rebase_db.lease import Lease
from rebase_db.queue import QUEUES, Claim, Queue
from rebase_db.rescue import LIVENESS_LOCK, rescue
from rebase_db.schema import Retrieval, Worker
from tests.queue import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from tests.schema.chain import Row

Chain = dict[str, "Row"]
LEASE_SECONDS = settings.lease_seconds()


def claimed(connection: Connection, chain: Chain, of: Queue, count: int = 1) -> tuple[int, list[int]]:
    """A worker's id and the ids of rows it has claimed."""
    rows.add_ready(connection, chain, of, count)
    worker_id = rows.add_worker(connection)
    return worker_id, [item.item_id for item in queue.claim(connection, of, worker_id, count)]


def rescued(connection: Connection, of: Queue) -> int:
    """How many rows a new worker finds that nobody holds any more."""
    return rescue(connection, of, rows.add_worker(connection))


@pytest.fixture
def alive(lineage: tuple[Engine, Chain]) -> Iterator[Connection]:
    """A second connection to the shared database, to hold the lock that says that a worker lives."""
    with lineage[0].connect() as connection:
        yield connection
        connection.invalidate()


def hold_lock(connection: Connection, worker_id: int) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:kind, :id)"), {"kind": LIVENESS_LOCK, "id": worker_id})


def set_worker(connection: Connection, worker_id: int, column: str, ago: float) -> None:
    """Set one of a worker's times to some seconds ago."""
    when = func.clock_timestamp() - text(f"interval '{ago} seconds'")
    connection.execute(update(Worker).where(Worker.worker_id == worker_id).values({column: when}))


@pytest.mark.parametrize(("column", "ago"), [("stopped_at", 0), ("heartbeat_at", LEASE_SECONDS + 1)])
def test_a_worker_that_stopped_or_fell_silent_is_dead_though_its_connection_lives(
    connection: Connection, alive: Connection, chain: Chain, column: str, ago: float
) -> None:
    worker_id, ids = claimed(connection, chain, queue.TRANSFORM, 2)
    hold_lock(alive, worker_id)
    assert rescued(connection, queue.TRANSFORM) == 0
    set_worker(connection, worker_id, column, ago)
    assert rescued(connection, queue.TRANSFORM) == 2
    died = f"worker {worker_id} died in attempt 1"
    for item_id in ids:
        row = rows.read(connection, queue.TRANSFORM, item_id)
        assert (row["state"], row["worker_id"], row["attempt"], row["crashes"]) == ("retrieved", None, 1, 1)
        assert row["error"] == died
        expected = ("rescue", "transforming", "retrieved", 1, None, died)
        assert rows.events(connection, queue.TRANSFORM, item_id)[1:] == [expected]


def test_a_heartbeat_just_within_the_lease_is_life(connection: Connection, alive: Connection, chain: Chain) -> None:
    worker_id, _ = claimed(connection, chain, queue.RETRIEVE)
    hold_lock(alive, worker_id)
    set_worker(connection, worker_id, "heartbeat_at", LEASE_SECONDS - 10)
    assert rescued(connection, queue.RETRIEVE) == 0


def test_a_worker_without_its_lock_is_dead_however_fresh_its_heartbeat(connection: Connection, chain: Chain) -> None:
    claimed(connection, chain, queue.RETRIEVE)
    assert rescued(connection, queue.RETRIEVE) == 1


def test_a_worker_does_not_rescue_from_itself(connection: Connection, chain: Chain) -> None:
    worker_id, _ = claimed(connection, chain, queue.EMBED)
    assert rescue(connection, queue.EMBED, worker_id) == 0
    assert rescued(connection, queue.EMBED) == 1


@pytest.mark.parametrize("of", QUEUES, ids=lambda of: of.name)
def test_each_queue_is_rescued_and_only_the_one_asked_for(connection: Connection, chain: Chain, of: Queue) -> None:
    gone = rows.add_worker(connection, stopped_at=func.now())
    for each in QUEUES:
        rows.add_ready(connection, chain, each, 1)
        queue.claim(connection, each, gone, 1)
    assert rescued(connection, of) == 1
    held = {each.name: queue.counts(connection, each).get(each.machine.working, 0) for each in QUEUES}
    assert held == {each.name: int(each is not of) for each in QUEUES}


def test_a_death_in_the_last_attempt_fails_the_row(connection: Connection, chain: Chain) -> None:
    """So that a row that kills its workers does not go on for ever."""
    worker_id, (item_id,) = claimed(connection, chain, queue.RETRIEVE)
    connection.execute(update(Retrieval).where(Retrieval.retrieval_id == item_id).values(attempt=5))
    assert rescued(connection, queue.RETRIEVE) == 1
    row = rows.read(connection, queue.RETRIEVE, item_id)
    died = f"worker {worker_id} died in attempt 5"
    assert (row["state"], row["error"], row["worker_id"]) == ("failed", died, None)
    assert row["finished_at"] is not None
    assert rows.events(connection, queue.RETRIEVE, item_id)[-1] == ("fail", "running", "failed", 5, None, died)
    assert rescued(connection, queue.RETRIEVE) == 0


def wait_for(engine: Engine, query: str, **values: object) -> None:
    """Wait until a query says true, or more than zero; the test's own timeout bounds it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(text(query), values).scalar_one():
            threading.Event().wait(0.02)


def left_behind(engine: Engine, chain: Chain) -> tuple[int, list[Claim]]:
    """A worker that stopped, and what it held."""
    with engine.begin() as connection:
        rows.add_ready(connection, chain, queue.EMBED, 2)
        me = rows.add_worker(connection, stopped_at=func.now())
        return me, queue.claim(connection, queue.EMBED, me, 2)


def test_the_rescuer_neither_waits_for_a_row_that_is_being_settled_nor_takes_it(
    engine: Engine, own_chain: Chain
) -> None:
    me, (settled, other) = left_behind(engine, own_chain)
    with engine.begin() as connection:
        rows.done(connection, queue.EMBED, me, [settled])
        with engine.begin() as rescuer:
            rescuer.execute(text("SET LOCAL lock_timeout = '1ms'"))
            assert rescued(rescuer, queue.EMBED) == 1
    with engine.begin() as connection:
        assert rescued(connection, queue.EMBED) == 0
        assert rows.read(connection, queue.EMBED, settled.item_id)["state"] == "done"
        assert rows.read(connection, queue.EMBED, other.item_id)["state"] == "waiting"


def test_who_settles_while_the_rescuer_has_the_row_waits_and_finds_it_gone(engine: Engine, own_chain: Chain) -> None:
    me, claims = left_behind(engine, own_chain)
    settled: list[Claim] = []

    def run() -> None:
        with engine.begin() as connection:
            settled.extend(rows.done(connection, queue.EMBED, me, claims))

    late = threading.Thread(target=run)
    with engine.begin() as connection:
        assert rescued(connection, queue.EMBED) == 2
        late.start()
        wait_for(engine, rows.LOCK_WAITERS)
    late.join(timeout=30)
    assert not late.is_alive()
    assert settled == []
    with engine.connect() as connection:
        assert rows.states(connection, queue.EMBED, [claim.item_id for claim in claims]) == {"waiting"}


def test_a_lease_is_as_long_as_the_environment_says(
    connection: Connection, alive: Connection, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_id, _ = claimed(connection, chain, queue.EMBED)
    hold_lock(alive, worker_id)
    set_worker(connection, worker_id, "heartbeat_at", LEASE_SECONDS + 10)
    monkeypatch.setenv(settings.LEASE_SECONDS, str(LEASE_SECONDS + 20))
    assert rescued(connection, queue.EMBED) == 0
    monkeypatch.delenv(settings.LEASE_SECONDS)
    assert rescued(connection, queue.EMBED) == 1


@pytest.mark.parametrize("planner", ["nestloop", "hashjoin"])
def test_a_worker_that_holds_nothing_is_left_alone(engine: Engine, own_chain: Chain, planner: str) -> None:
    """Who looks after another's lock takes it for a moment, and one that is just starting must not find it taken."""
    with engine.begin() as connection:
        rows.add_ready(connection, own_chain, queue.EMBED, 1)
        gone, starting = rows.add_worker(connection), rows.add_worker(connection)
        assert len(queue.claim(connection, queue.EMBED, gone, 1)) == 1
    with engine.begin() as connection:
        for method in {"nestloop", "hashjoin", "mergejoin", "indexscan", "bitmapscan"} - {planner}:
            connection.execute(text("SELECT set_config(:name, 'off', true)"), {"name": f"enable_{method}"})
        assert rescued(connection, queue.EMBED) == 1
        taken = connection.execute(text("SELECT objid FROM pg_locks WHERE classid = :kind"), {"kind": LIVENESS_LOCK})
        assert starting not in set(taken.scalars())


CLAIM_AND_WAIT = """\
import sys
from rebase_db import queue, settings
from rebase_db.database.engine import engine_for
from rebase_db.lease import Lease
engine = engine_for(sys.argv[1])
with Lease(engine) as lease:
    with engine.begin() as connection:
        claims = queue.claim(connection, queue.EMBED, lease.worker_id, 3)
    print(lease.worker_id, len(claims), flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def claiming_process(url: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that has a lease and has claimed three chunks, and its worker id."""
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM_AND_WAIT, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        worker_id, count = process.stdout.readline().split()
        assert count == "3"
        try:
            yield process, int(worker_id)
        finally:
            process.kill()


def test_a_process_keeps_its_rows_while_it_lives_and_gives_them_back_when_it_is_killed_or_closes_its_lease(
    engine: Engine, database_url: str, own_chain: Chain
) -> None:
    with engine.begin() as connection:
        ids = rows.add_ready(connection, own_chain, queue.EMBED, 3)
    with claiming_process(database_url) as (process, worker_id):
        with engine.begin() as connection:
            assert rescued(connection, queue.EMBED) == 0
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        # The kernel closes the connection; the server notices within a moment.
        unheld = "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE classid = :kind AND objid = :id AND granted)"
        wait_for(engine, unheld, kind=LIVENESS_LOCK, id=worker_id)
    with engine.begin() as connection:
        # No beat was missed yet and nothing was said: the lock alone gave it away.
        silent = func.clock_timestamp() - Worker.heartbeat_at > text(f"interval '{LEASE_SECONDS} seconds'")
        told = connection.execute(select(Worker.stopped_at, silent).where(Worker.worker_id == worker_id)).one()
        assert told == (None, False)
        assert rescued(connection, queue.EMBED) == 3
        assert rows.states(connection, queue.EMBED, ids) == {"waiting"}

    with Lease(engine) as lease:
        with engine.begin() as connection:
            for _ in range(3):  # each alone, since a worker died with them
                assert len(queue.claim(connection, queue.EMBED, lease.worker_id, 3)) == 1
        with engine.begin() as connection:
            assert rescued(connection, queue.EMBED) == 0
    with engine.begin() as connection:
        assert rescued(connection, queue.EMBED) == 3
