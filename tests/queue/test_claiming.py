"""Claiming: which rows, in which order, how many, and what is written about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import false, func, insert, text, update

from rebase_db import queue
from rebase_db.queue import QUEUES, Claim, Queue
from rebase_db.schema import Metric, Retrieval, RetrievalLink
from tests.queue import rows
from tests.schema.chain import NOW

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.schema.chain import Row

Chain = dict[str, "Row"]
each_queue = pytest.mark.parametrize("of", QUEUES, ids=lambda of: of.name)


@each_queue
def test_rows_are_claimed_in_order_batch_by_batch_until_none_is_left(
    connection: Connection, chain: Chain, of: Queue
) -> None:
    ids = rows.add_ready(connection, chain, of, 7)
    in_order = list(reversed(ids)) if of is queue.TRANSFORM else ids  # links by rank, which runs against the ids here
    me = rows.add_worker(connection)
    batches = [queue.claim(connection, of, me, 3) for _ in range(4)]
    assert [{item.item_id for item in batch} for batch in batches] == [
        set(in_order[:3]),
        set(in_order[3:6]),
        set(in_order[6:]),
        set(),
    ]
    assert [item.item_id for item in batches[0]] == sorted(in_order[:3])


@each_queue
def test_a_claimed_row_is_held_by_its_worker_and_counts_the_attempt(
    connection: Connection, chain: Chain, of: Queue
) -> None:
    (item_id,) = rows.add_ready(connection, chain, of, 1)
    me = rows.add_worker(connection)
    assert queue.claim(connection, of, me, 1) == [Claim(item_id, 1, last=False)]
    row = rows.read(connection, of, item_id)
    assert (row["state"], row["worker_id"], row["attempt"]) == (of.machine.working, me, 1)
    assert rows.events(connection, of, item_id) == [("claim", of.machine.ready, of.machine.working, 1, me, None)]


def test_a_claim_tells_when_no_other_will_follow_it(connection: Connection, chain: Chain) -> None:
    (item_id,) = rows.add_ready(connection, chain, queue.RETRIEVE, 1)
    me = rows.add_worker(connection)
    connection.execute(update(Retrieval).where(Retrieval.retrieval_id == item_id).values(attempt=4))
    assert queue.claim(connection, queue.RETRIEVE, me, 1) == [Claim(item_id, 5, last=True)]


def test_only_rows_in_scope_are_claimed(connection: Connection, chain: Chain) -> None:
    ids = rows.add_ready(connection, chain, queue.RETRIEVE, 4)
    me = rows.add_worker(connection)
    scope = Retrieval.retrieval_id.in_(ids[1:3])
    assert [item.item_id for item in queue.claim(connection, queue.RETRIEVE, me, 10, scope)] == ids[1:3]
    assert queue.claim(connection, queue.RETRIEVE, me, 10, false()) == []
    assert queue.counts(connection, queue.RETRIEVE, scope) == {"running": 2}
    assert queue.counts(connection, queue.RETRIEVE) == {"done": 1, "running": 2, "waiting": 2}


def test_a_row_is_not_claimed_before_its_time(connection: Connection, chain: Chain) -> None:
    later, now = rows.add_ready(connection, chain, queue.RETRIEVE, 2)
    me = rows.add_worker(connection)
    when = func.clock_timestamp() + text("interval '1 hour'")
    connection.execute(update(Retrieval).where(Retrieval.retrieval_id == later).values(ready_at=when))
    assert [item.item_id for item in queue.claim(connection, queue.RETRIEVE, me, 10)] == [now]
    connection.execute(update(Retrieval).where(Retrieval.retrieval_id == later).values(ready_at=NOW))
    assert [item.item_id for item in queue.claim(connection, queue.RETRIEVE, me, 10)] == [later]


def test_a_displaced_link_is_not_claimed_nor_counted(connection: Connection, chain: Chain) -> None:
    ids = rows.add_ready(connection, chain, queue.TRANSFORM, 3)
    me = rows.add_worker(connection)
    displaced = {"displaced_by": chain["retrieval"]["retrieval_id"]}
    connection.execute(update(RetrievalLink).where(RetrievalLink.link_id == ids[1]).values(displaced))
    assert [item.item_id for item in queue.claim(connection, queue.TRANSFORM, me, 10)] == [ids[0], ids[2]]
    assert queue.counts(connection, queue.TRANSFORM) == {"distilled": 1, "transforming": 2}


def test_rows_that_cannot_be_claimed_do_not_use_up_the_batch(connection: Connection, chain: Chain) -> None:
    ids = rows.add_ready(connection, chain, queue.TRANSFORM, 6)
    me = rows.add_worker(connection)
    ahead = RetrievalLink.link_id.in_(ids[3:])  # the first by rank
    connection.execute(update(RetrievalLink).where(ahead).values(ready_at=NOW + text("interval '1 hour'")))
    assert [item.item_id for item in queue.claim(connection, queue.TRANSFORM, me, 2)] == ids[1:3]


def test_a_row_whose_children_are_being_written_can_be_claimed(engine: Engine, own_chain: Chain) -> None:
    """A child's insert locks its parent's key until it is committed; that must not make claiming skip the parent."""
    with engine.begin() as connection:
        (run_id,) = rows.add_ready(connection, own_chain, queue.DISTILL, 1)
        me = rows.add_worker(connection)
    with engine.connect() as writer, engine.connect() as claimer:
        metric = {"training_run_id": run_id, "attempt": 1, "name": "loss", "step": 1, "value": 0.5}
        writer.execute(insert(Metric).values(metric))
        assert [item.item_id for item in queue.claim(claimer, queue.DISTILL, me, 1)] == [run_id]
