"""Claiming: which rows, in which order, how many, and what is written about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, insert, select, text, update

from rebase_db import queue
from rebase_db.control import pause, resume
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


@each_queue
def test_only_rows_of_the_lane_are_claimed(connection: Connection, chain: Chain, of: Queue) -> None:
    ids = rows.add_ready(connection, chain, of, 2)
    me = rows.add_worker(connection)
    lane = rows.lanes_of(connection, of)[-1]
    in_lane = ids[-1:] if of is queue.DISTILL else ids  # a training run is a lane of its own
    for part in range(len(lane)):
        elsewhere = tuple(value + (n == part) for n, value in enumerate(lane))
        assert queue.claim(connection, of, me, 10, elsewhere) == []
    assert [item.item_id for item in queue.claim(connection, of, me, 10, lane)] == in_lane


def test_rows_are_counted_by_state_within_lanes(connection: Connection, chain: Chain) -> None:
    ids = rows.add_ready(connection, chain, queue.DISTILL, 4)
    me = rows.add_worker(connection)
    queue.claim(connection, queue.DISTILL, me, 1, (ids[1],))
    some = queue.DISTILL.in_lanes([(item_id,) for item_id in ids[1:3]])
    assert queue.counts(connection, queue.DISTILL, some) == {"running": 1, "waiting": 1}
    assert queue.counts(connection, queue.DISTILL) == {"done": 1, "running": 1, "waiting": 3}


def set_ready(connection: Connection, of: Queue, item_id: int, seconds: int) -> None:
    """Make a row ready from some seconds on."""
    when = func.clock_timestamp() + text(f"interval '{seconds} seconds'")
    connection.execute(update(of.table).where(of.key == item_id).values(ready_at=when))


@each_queue
def test_who_has_been_ready_for_longest_is_first_and_then_who_ranks_first(
    connection: Connection, chain: Chain, of: Queue
) -> None:
    ids = rows.add_ready(connection, chain, of, 5)
    in_order = list(reversed(ids)) if of is queue.TRANSFORM else ids
    me = rows.add_worker(connection)
    set_ready(connection, of, in_order[4], -20)
    set_ready(connection, of, in_order[3], -10)
    claimed = [queue.claim(connection, of, me, 1)[0].item_id for _ in ids]
    assert claimed == [in_order[4], in_order[3], *in_order[:3]]


def test_rows_that_enter_together_are_ready_together(connection: Connection, chain: Chain) -> None:
    """So that links go by their rank, not by which row of an INSERT came first."""
    rows.add_ready(connection, chain, queue.TRANSFORM, 3)
    ready = select(func.count(RetrievalLink.ready_at.distinct())).where(RetrievalLink.state == "retrieved")
    assert connection.execute(ready).scalar_one() == 1


def crash(connection: Connection, of: Queue, *ids: int, times: int = 1) -> None:
    connection.execute(update(of.table).where(of.key.in_(ids)).values(crashes=times))


@each_queue
def test_rows_that_workers_died_with_are_claimed_apart_and_by_ever_fewer(
    connection: Connection, chain: Chain, of: Queue
) -> None:
    ids = rows.add_ready(connection, chain, of, 10)
    in_order = list(reversed(ids)) if of is queue.TRANSFORM else ids
    me = rows.add_worker(connection)
    crash(connection, of, *in_order[:2], in_order[3], in_order[5])
    crash(connection, of, in_order[4], in_order[6], times=2)
    batches = [[item.item_id for item in queue.claim(connection, of, me, 10)] for _ in range(6)]
    assert [sorted(batch) for batch in batches] == [
        sorted(in_order[place] for place in places)
        for places in ((0, 1), (2, 7, 8, 9), (3, 5), (4,), (6,), ())  # a quarter of ten, a sixteenth, and one at least
    ]


def test_a_crashed_row_beyond_the_batch_leaves_the_batch_whole(connection: Connection, chain: Chain) -> None:
    ids = rows.add_ready(connection, chain, queue.EMBED, 5)
    me = rows.add_worker(connection)
    crash(connection, queue.EMBED, ids[3])
    sizes = [len(queue.claim(connection, queue.EMBED, me, 3)) for _ in range(4)]
    assert sizes == [3, 1, 1, 0]


def test_a_retrieval_of_a_paused_task_is_not_claimed(connection: Connection, chain: Chain) -> None:
    (other,) = rows.add_ready(connection, chain, queue.RETRIEVE, 1)
    version, encoder = rows.add_task(connection, "paused"), chain["encoder"]["encoder_id"]
    paused = rows.add_retrieval(connection, version, encoder, state="waiting")
    pause(connection, "paused")
    me = rows.add_worker(connection)
    assert [item.item_id for item in queue.claim(connection, queue.RETRIEVE, me, 10, (encoder,))] == [other]
    resume(connection, "paused")
    assert [item.item_id for item in queue.claim(connection, queue.RETRIEVE, me, 10, (encoder,))] == [paused]


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


@each_queue
def test_a_claim_begins_at_its_place(connection: Connection, chain: Chain, of: Queue) -> None:
    ids = rows.add_ready(connection, chain, of, 4)
    in_order = list(reversed(ids)) if of is queue.TRANSFORM else ids
    me = rows.add_worker(connection)
    first = queue.claim(connection, of, me, 2)
    for claim in first:
        row = rows.read(connection, of, claim.item_id)
        assert claim.place == (row["ready_at"], row[of.rank.name])
    place = max(claim.place for claim in first)
    set_ready(connection, of, in_order[3], -60)  # and so before that place
    assert [claim.item_id for claim in queue.claim(connection, of, me, 4, after=place)] == [in_order[2]]
    assert [claim.item_id for claim in queue.claim(connection, of, me, 4)] == [in_order[3]]
