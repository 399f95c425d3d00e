"""Every event in every state, in Postgres: legal pairs move the row and write an event, illegal ones do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rebase_db import queue
from rebase_db.errors import LostClaimError
from rebase_db.queue import QUEUES, Claim, Queue
from rebase_db.states import JOB, LINK, StateMachine
from tests.queue import rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.schema.chain import Row

MACHINES = [JOB, LINK]


def events_of(machine: StateMachine) -> list[str]:
    return sorted({event for _, event in machine.transitions})


PAIRS = [(of, state, event) for of in QUEUES for state in of.machine.states for event in events_of(of.machine)]


def try_event(connection: Connection, of: Queue, item_id: int, event: str, me: int) -> int:
    """Try an event on a row through the function that is for it; the number of rows it moved."""
    machine = of.machine
    before = [state for state, name in machine.transitions if name == event]
    if event == "claim":
        return len(queue.claim(connection, of, me, 10, of.key == item_id))
    if event == "rescue":
        return queue.rescue(connection, of, me)
    if event in {"done", "reject", "retry", "release", "fail"}:
        values = rows.DONE.get(of.name) if event == "done" else None
        error = "it broke" if event in {"fail", "retry"} else None
        try:
            queue.finish(connection, of, me, [Claim(item_id, 1, last=False)], event, error=error, values=values)
        except LostClaimError:
            return 0
        return 1
    if event == "revive":
        return sum(queue.revive(connection, of, state, of.key == item_id) for state in before)
    return sum(queue.move(connection, of, state, event, of.key == item_id) for state in before)


@pytest.mark.parametrize(
    ("of", "state", "event"), PAIRS, ids=[f"{of.name}-{state}-{event}" for of, state, event in PAIRS]
)
def test_every_event_in_every_state(
    connection: Connection, chain: dict[str, Row], of: Queue, state: str, event: str
) -> None:
    item_id = chain[of.name][of.key.name]
    me = rows.add_worker(connection)
    dead = chain["worker"]["worker_id"]
    rows.put_in_state(connection, of, item_id, state, dead if event == "rescue" else me)
    before, written = rows.read(connection, of, item_id), rows.events(connection, of, item_id)

    moved = try_event(connection, of, item_id, event, me)

    after, new = rows.read(connection, of, item_id), rows.events(connection, of, item_id)[len(written) :]
    expected = of.machine.transitions.get((state, event))
    if expected is None:
        assert (moved, after, new) == (0, before, [])
    else:
        assert (moved, after["state"]) == (1, expected)
        assert [happened[:3] for happened in new] == [(event, state, expected)]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_an_event_leads_to_one_state_wherever_it_is_legal(machine: StateMachine) -> None:
    for event in events_of(machine):
        reached = {after for (_, name), after in machine.transitions.items() if name == event}
        assert reached == {machine.next_state_of(event)}
    with pytest.raises(ValueError, match="unpack"):
        machine.next_state_of("teleport")


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_no_state_is_a_dead_end_but_the_good_ones(machine: StateMachine) -> None:
    """From everywhere a row can get back to work, or it is where it should be; and everything can be reached."""
    reachable = {machine.ready}
    while new := {after for (before, _), after in machine.transitions.items() if before in reachable} - reachable:
        reachable |= new
    assert reachable == set(machine.states)
    assert {before for before, _ in machine.transitions} | {"done"} >= set(machine.states)
    assert not set(machine.finished) & {machine.ready, machine.working}


def test_finishing_by_an_event_that_is_not_one_of_work_is_a_mistake(connection: Connection) -> None:
    for event in ("revive", "claim", "distil", "teleport"):
        with pytest.raises(KeyError):
            queue.finish(connection, queue.TRANSFORM, 1, [Claim(1, 1, last=False)], event)


def test_reviving_from_a_state_that_has_no_such_move_is_a_mistake(connection: Connection) -> None:
    with pytest.raises(KeyError):
        queue.revive(connection, queue.EMBED, "done", queue.EMBED.key == 1)
