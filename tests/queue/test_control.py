"""What people do to rows: retry and cancel, of one task or of all, and how many rows that was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, update

from rebase_db import queue
from rebase_db.control import cancel, cancellable, pause, prioritize, resume, retry
from rebase_db.errors import UnknownNameError
from rebase_db.outcomes import Done, Fail
from rebase_db.queue import QUEUES, Queue
from rebase_db.schema import Event
from rebase_db.schema.base import ATTEMPTS
from tests.queue import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from tests.schema.chain import Row

Chain = dict[str, "Row"]
TASK = "letters"
STAGES = [each.stage for each in QUEUES]
OF_TASKS = [each for each in QUEUES if each is not queue.EMBED]


def fill(connection: Connection, chain: Chain) -> dict[str, dict[str, int]]:
    """In each queue one row that waits, one that is worked on, one that failed and one cancelled; their ids."""
    me, made = rows.add_worker(connection), {}
    for each in QUEUES:
        ids = dict(
            zip(("ready", "working", "failed", "cancelled"), rows.add_ready(connection, chain, each, 4), strict=True)
        )
        made[each.name] = ids
        for name, item_id in ids.items():
            state = getattr(each.machine, name, name)
            rows.put_in_state(connection, each, item_id, state, me)
        connection.execute(update(each.table).where(each.key == ids["failed"]).values(attempt=ATTEMPTS, crashes=2))
    return made


def test_cancelling_takes_what_waits_and_what_is_worked_on(connection: Connection, chain: Chain) -> None:
    made = fill(connection, chain)
    expected = dict.fromkeys((each.stage for each in OF_TASKS), 2)
    assert cancellable(connection, TASK, STAGES) == expected
    assert cancel(connection, TASK, STAGES) == expected
    assert cancel(connection, TASK, STAGES) == dict.fromkeys(expected, 0) == cancellable(connection, TASK, STAGES)
    for each in OF_TASKS:
        ids = made[each.name]
        for name, before in (("ready", each.machine.ready), ("working", each.machine.working)):
            row = rows.read(connection, each, ids[name])
            assert (row["state"], row["worker_id"], row["error"]) == ("cancelled", None, "cancelled")
            assert row["finished_at"] is not None
            assert rows.events(connection, each, ids[name])[-1][:3] == ("cancel", before, "cancelled")
        assert rows.read(connection, each, ids["failed"])["state"] == "failed"
    assert rows.states(connection, queue.EMBED, [made["embed_chunk"]["ready"]]) == {"waiting"}  # no task's


def test_what_was_cancelled_while_worked_on_takes_no_result(connection: Connection, chain: Chain) -> None:
    rows.add_ready(connection, chain, queue.TRANSFORM, 1)
    me = rows.add_worker(connection)
    claims = queue.claim(connection, queue.TRANSFORM, me, 1)
    assert cancel(connection, TASK, ["transform"]) == {"transform": 1}
    assert queue.hold(connection, queue.TRANSFORM, me, claims) == []
    assert queue.settle(connection, queue.TRANSFORM, me, [(claims[0], Done())]) == []
    assert rows.states(connection, queue.TRANSFORM, [claims[0].item_id]) == {"cancelled"}
    assert retry(connection, TASK, ["transform"]) == {"transform": 1}
    (again,) = queue.claim(connection, queue.TRANSFORM, me, 1)
    assert again.attempt == 2
    assert queue.settle(connection, queue.TRANSFORM, me, [(claims[0], Done())]) == []  # nor after it was revived


@pytest.mark.parametrize("task", [TASK, None], ids=["one task", "all"])
def test_retrying_brings_back_what_failed_or_was_cancelled(
    connection: Connection, chain: Chain, task: str | None
) -> None:
    made = fill(connection, chain)
    asked = QUEUES if task is None else OF_TASKS
    assert retry(connection, task, STAGES) == dict.fromkeys((each.stage for each in asked), 2)
    assert retry(connection, task, STAGES) == dict.fromkeys((each.stage for each in asked), 0)
    for each in asked:
        ids = made[each.name]
        row = rows.read(connection, each, ids["failed"])
        assert (row["state"], row["error"], row["finished_at"]) == (each.machine.ready, None, None)
        assert (row["attempt"], row["attempt_limit"], row["crashes"]) == (ATTEMPTS, 2 * ATTEMPTS, 0)
        assert rows.states(connection, each, list(ids.values())) == {each.machine.ready, each.machine.working}
        assert rows.events(connection, each, ids["failed"])[-1][:3] == ("revive", "failed", each.machine.ready)


@pytest.mark.parametrize("of", OF_TASKS, ids=lambda of: of.name)
def test_only_the_stages_asked_for_are_touched(connection: Connection, chain: Chain, of: Queue) -> None:
    made = fill(connection, chain)
    assert cancel(connection, TASK, [of.stage]) == {of.stage: 2}
    assert retry(connection, TASK, [of.stage]) == {of.stage: 4}
    for each in OF_TASKS:
        found = rows.states(connection, each, list(made[each.name].values()))
        untouched = {each.machine.ready, each.machine.working, "failed", "cancelled"}
        assert found == ({each.machine.ready} if each is of else untouched)


def test_another_task_is_not_touched(connection: Connection, chain: Chain) -> None:
    fill(connection, chain)
    rows.add_task(connection, "second")
    nothing = dict.fromkeys((each.stage for each in OF_TASKS), 0)
    assert cancel(connection, "second", STAGES) == nothing == retry(connection, "second", STAGES)


def test_a_paused_task_can_be_retried_and_cancelled(connection: Connection, chain: Chain) -> None:
    fill(connection, chain)
    pause(connection, TASK)
    expected = dict.fromkeys((each.stage for each in OF_TASKS), 2)
    assert retry(connection, TASK, STAGES) == expected
    assert cancel(connection, TASK, STAGES) == dict.fromkeys(expected, 4)


def test_a_displaced_link_is_not_retried(connection: Connection, chain: Chain) -> None:
    (item_id,) = rows.add_ready(connection, chain, queue.TRANSFORM, 1)
    me = rows.add_worker(connection)
    (claim,) = queue.claim(connection, queue.TRANSFORM, me, 1)
    queue.settle(connection, queue.TRANSFORM, me, [(claim, Fail("E"))])
    displaced = {"displaced_by": chain["retrieval"]["retrieval_id"]}
    connection.execute(update(queue.TRANSFORM.table).where(queue.TRANSFORM.key == item_id).values(displaced))
    assert retry(connection, TASK, STAGES) == {"retrieve": 0, "transform": 0, "distill": 0}


ASKED: dict[str, Callable[[Connection, str], object]] = {
    "pause": pause,
    "resume": resume,
    "prioritize": lambda connection, task: prioritize(connection, task, 1),
    "cancel": lambda connection, task: cancel(connection, task, STAGES),
    "retry": lambda connection, task: retry(connection, task, STAGES),
}


@pytest.mark.parametrize("what", ASKED)
def test_a_task_that_is_not_there_is_named(connection: Connection, what: str) -> None:
    before = connection.execute(func.count(Event.event_id).select()).scalar_one()
    with pytest.raises(UnknownNameError, match="lettres") as caught:
        ASKED[what](connection, "lettres")
    assert "letters" in caught.value.hint
    assert connection.execute(func.count(Event.event_id).select()).scalar_one() == before
