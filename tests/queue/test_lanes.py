"""Which lanes a worker sees: those with rows to claim now, by priority, and of a task only the newest ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, text, update

from rebase_db import queue
from rebase_db.control import pause, prioritize, resume
from rebase_db.lanes import ReadyLane, ready_lanes, unfinished
from rebase_db.outcomes import Fail, Snooze
from rebase_db.queue import QUEUES, Queue
from tests.queue import rows
from tests.schema.chain import NOW, add, digest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.schema.chain import Row

Chain = dict[str, "Row"]
OF_TASKS = [each for each in QUEUES if each is not queue.EMBED]
TASK = "letters"
"""The name of the chain's task."""
later = func.clock_timestamp() + text("interval '1 hour'")


def lanes(connection: Connection, of: Queue) -> list[tuple[int, ...]]:
    return [each.lane for each in ready_lanes(connection, of)]


def add_one(connection: Connection, chain: Chain, of: Queue) -> tuple[int, tuple[int, ...]]:
    """A ready row and its lane."""
    (item_id,) = rows.add_ready(connection, chain, of, 1)
    return item_id, rows.lanes_of(connection, of)[-1]


@pytest.mark.parametrize("of", QUEUES, ids=lambda of: of.name)
def test_a_lane_is_there_while_a_row_of_it_is_ready(connection: Connection, chain: Chain, of: Queue) -> None:
    assert (lanes(connection, of), unfinished(connection, of)) == ([], False)
    item_id, lane = add_one(connection, chain, of)
    me = rows.add_worker(connection)
    assert ready_lanes(connection, of) == [ReadyLane(lane, 0)]

    connection.execute(update(of.table).where(of.key == item_id).values(ready_at=later))
    assert (lanes(connection, of), unfinished(connection, of)) == ([], True)  # not now, but still to come
    connection.execute(update(of.table).where(of.key == item_id).values(ready_at=NOW))
    assert lanes(connection, of) == [lane]

    (claim,) = queue.claim(connection, of, me, 1, lane)
    assert (lanes(connection, of), unfinished(connection, of)) == ([], True)  # in somebody's hands
    queue.settle(connection, of, me, [(claim, Snooze(60, "busy"))])
    assert (lanes(connection, of), unfinished(connection, of)) == ([], True)
    rows.make_ready(connection, of)
    (claim,) = queue.claim(connection, of, me, 1, lane)
    queue.settle(connection, of, me, [(claim, Fail("E"))])
    assert (lanes(connection, of), unfinished(connection, of)) == ([], False)


@pytest.mark.parametrize("of", OF_TASKS, ids=lambda of: of.name)
def test_a_paused_task_has_no_lanes_until_it_is_resumed(connection: Connection, chain: Chain, of: Queue) -> None:
    _, lane = add_one(connection, chain, of)
    pause(connection, TASK)
    assert (lanes(connection, of), unfinished(connection, of)) == (
        [],
        False,
    )  # nothing that will become ready by itself
    resume(connection, TASK)
    assert (lanes(connection, of), unfinished(connection, of)) == ([lane], True)


def test_pausing_twice_keeps_the_time_of_the_first(connection: Connection) -> None:
    paused = text("SELECT paused_at FROM task WHERE name = 'letters'")
    pause(connection, TASK)
    first = connection.execute(paused).scalar_one()
    pause(connection, TASK)
    assert connection.execute(paused).scalar_one() == first is not None


def test_chunks_of_texts_are_no_tasks(connection: Connection, chain: Chain) -> None:
    _, lane = add_one(connection, chain, queue.EMBED)
    prioritize(connection, TASK, 3)
    pause(connection, TASK)
    assert ready_lanes(connection, queue.EMBED) == [ReadyLane(lane, 0)]


def second_task(connection: Connection, chain: Chain, of: Queue) -> tuple[int, ...]:
    """The lane of a ready row of a second task."""
    version = rows.add_task(connection, "second")
    encoder_id = chain["encoder"]["encoder_id"]
    if of is queue.RETRIEVE:
        encoder_id = rows.add_encoder(connection, "another")  # retrievals of tasks under one encoder share a lane
        rows.add_retrieval(connection, version, encoder_id, state="waiting")
        return (encoder_id,)
    if of is queue.TRANSFORM:
        retrieval = rows.add_retrieval(connection, version, encoder_id)
        assert rows.copy_links(connection, version, encoder_id, retrieval) > 0
        return version, encoder_id
    members = add(
        connection, "training_set", task_version_id=version, name="second-1", size=1, selection={},
        manifest_hash=digest("second"),
    )  # fmt: skip
    run = add(
        connection, "training_run", training_set_id=members["training_set_id"], student="classifier", base="b",
        base_revision="1", base_weights_hash=digest("b"), hyperparameters={}, seed=1, code_version="0",
        run_key=digest("second"), state="waiting",
    )  # fmt: skip
    return (run["training_run_id"],)


@pytest.mark.parametrize("of", OF_TASKS, ids=lambda of: of.name)
def test_lanes_come_by_the_priority_of_their_task(connection: Connection, chain: Chain, of: Queue) -> None:
    _, one = add_one(connection, chain, of)
    two = second_task(connection, chain, of)
    for first, second in ((5, -2), (-1, 3)):
        prioritize(connection, TASK, first)
        prioritize(connection, "second", second)
        expected = [ReadyLane(one, first), ReadyLane(two, second)]
        assert ready_lanes(connection, of) == sorted(expected, key=lambda each: -each.priority)


def test_a_lane_of_several_tasks_has_the_highest_of_their_priorities(connection: Connection, chain: Chain) -> None:
    _, lane = add_one(connection, chain, queue.RETRIEVE)
    rows.add_retrieval(connection, rows.add_task(connection, "second"), lane[0], state="waiting")
    prioritize(connection, "second", 7)
    assert ready_lanes(connection, queue.RETRIEVE) == [ReadyLane(lane, 7)]
    pause(connection, "second")
    assert ready_lanes(connection, queue.RETRIEVE) == [ReadyLane(lane, 0)]


def test_retrievals_wait_for_the_texts_of_their_encoder(connection: Connection, chain: Chain) -> None:
    _, lane = add_one(connection, chain, queue.RETRIEVE)
    add_one(connection, chain, queue.EMBED)
    other = rows.add_encoder(connection, "another")
    rows.add_retrieval(connection, rows.add_task(connection, "second"), other, state="waiting")
    me = rows.add_worker(connection)
    assert lanes(connection, queue.RETRIEVE) == [(other,)]
    claims = queue.claim(connection, queue.EMBED, me, 1)
    assert lanes(connection, queue.RETRIEVE) == [(other,)]
    rows.done(connection, queue.EMBED, me, claims)
    assert sorted(lanes(connection, queue.RETRIEVE)) == [lane, (other,)]


def test_links_of_an_older_version_of_a_task_are_left_alone(connection: Connection, chain: Chain) -> None:
    _, old = add_one(connection, chain, queue.TRANSFORM)
    encoder_id = chain["encoder"]["encoder_id"]
    version = rows.add_version(connection, chain["task"]["task_id"], 2)
    assert lanes(connection, queue.TRANSFORM) == [old]  # until the new version has links of its own
    retrieval = rows.add_retrieval(connection, version, encoder_id)
    assert lanes(connection, queue.TRANSFORM) == []
    rows.copy_links(connection, version, encoder_id, retrieval)
    assert lanes(connection, queue.TRANSFORM) == [(version, encoder_id)]


def test_links_under_an_older_encoder_are_left_alone(connection: Connection, chain: Chain) -> None:
    _, old = add_one(connection, chain, queue.TRANSFORM)
    version = chain["task_version"]["task_version_id"]
    encoder_id = rows.add_encoder(connection, "newer")
    rows.add_retrieval(connection, version, encoder_id, state="waiting")
    assert lanes(connection, queue.TRANSFORM) == [old]  # until something was retrieved under the new one
    retrieval = rows.add_retrieval(connection, version, encoder_id)
    rows.copy_links(connection, version, encoder_id, retrieval)
    assert lanes(connection, queue.TRANSFORM) == [(version, encoder_id)]


def test_displaced_links_make_no_lane(connection: Connection, chain: Chain) -> None:
    item_id, lane = add_one(connection, chain, queue.TRANSFORM)
    assert lanes(connection, queue.TRANSFORM) == [lane]
    displaced = {"displaced_by": chain["retrieval"]["retrieval_id"]}
    connection.execute(update(queue.TRANSFORM.table).where(queue.TRANSFORM.key == item_id).values(displaced))
    assert (lanes(connection, queue.TRANSFORM), unfinished(connection, queue.TRANSFORM)) == ([], False)
