"""Eight workers on eight connections after the same rows; and the proof that the test would see them collide."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.errors import DeadlockDetected
from sqlalchemy import Engine, event, func, select, text, update
from sqlalchemy.exc import OperationalError

from rebase_db import queue
from rebase_db.database.engine import engine_for
from rebase_db.schema import EmbedChunk, Event
from tests.queue import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.schema.chain import Row

WORKERS = 8
ROWS = 2000
BATCH = 50
LOCKING = " FOR NO KEY UPDATE OF embed_chunk SKIP LOCKED"


@pytest.fixture
def engines(database_url: str) -> Iterator[list[Engine]]:
    """An engine each: claims on a shared connection would take turns and never collide."""
    engines = [engine_for(database_url) for _ in range(WORKERS)]
    yield engines
    for engine in engines:
        engine.dispose()


def without_locking(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
    """Take the lock out of the claim as it is sent."""
    assert ("WITH picked" in statement) == (LOCKING in statement)
    return statement.replace(LOCKING, ""), parameters


def contend(engine: Engine, engines: list[Engine]) -> list[int]:
    """Let one worker on each engine claim until nothing is left; the ids claimed, by whomever, one for each claim.

    The first row in claim order is kept locked until every worker has either met it and waits, or has claimed all the
    others. A claim that does not skip what is locked thus has all of them wait for one row with the same batch in mind.
    """
    with engine.begin() as connection:
        workers = [rows.add_worker(connection) for _ in engines]
    idle = threading.Semaphore(0)
    opened = threading.Event()
    together = threading.Barrier(len(engines))

    def work(engine: Engine, worker_id: int) -> list[int]:
        mine: list[int] = []
        together.wait()
        while True:
            try:
                with engine.begin() as connection:
                    claims = queue.claim(connection, queue.EMBED, worker_id, BATCH)
            except OperationalError as error:
                if not isinstance(error.orig, DeadlockDetected):
                    raise
                continue  # only without the lock: two batches, each with a row the other wants
            mine += [claim.item_id for claim in claims]
            if not claims:
                if opened.is_set():
                    return mine
                idle.release()
                opened.wait()

    first = select(func.min(EmbedChunk.embed_chunk_id)).where(EmbedChunk.state == "waiting").scalar_subquery()
    with ThreadPoolExecutor(len(engines)) as pool, engine.connect() as gate:
        gate.execute(select(EmbedChunk.state).where(EmbedChunk.embed_chunk_id == first).with_for_update())
        running = [pool.submit(work, *each) for each in zip(engines, workers, strict=True)]
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
            at_rest = 0
            while at_rest + watcher.execute(text(rows.LOCK_WAITERS)).scalar_one() < len(engines):
                assert not any(each.done() for each in running)
                at_rest += idle.acquire(timeout=0.02)
        gate.rollback()
        opened.set()
        return [item_id for each in running for item_id in each.result(timeout=120)]


def test_every_row_is_claimed_exactly_once(engine: Engine, engines: list[Engine], own_chain: dict[str, Row]) -> None:
    with engine.begin() as connection:
        ids = rows.add_ready(connection, own_chain, queue.EMBED, ROWS)
    claimed = contend(engine, engines)
    assert (len(claimed), len(set(claimed))) == (ROWS, ROWS)
    assert sorted(claimed) == ids
    with engine.connect() as connection:
        of_ids = EmbedChunk.embed_chunk_id.in_(ids)
        held = select(func.count(), func.min(EmbedChunk.attempt), func.max(EmbedChunk.attempt))
        assert connection.execute(held.where(of_ids, EmbedChunk.state == "running")).one() == (ROWS, 1, 1)
        logged = select(func.count(), func.count(Event.item_id.distinct())).where(Event.event == "claim")
        assert connection.execute(logged.where(Event.queue == "embed_chunk")).one() == (ROWS, ROWS)


def test_the_same_without_its_lock_claims_rows_twice(
    engine: Engine, engines: list[Engine], own_chain: dict[str, Row]
) -> None:
    with engine.begin() as connection:
        rows.add_ready(connection, own_chain, queue.EMBED, 4 * BATCH)
        connection.execute(update(EmbedChunk).values(attempt_limit=1000))
    for each in engines:
        event.listen(each, "before_cursor_execute", without_locking, retval=True)
    claimed = contend(engine, engines)
    assert len(claimed) > len(set(claimed)) == 4 * BATCH
