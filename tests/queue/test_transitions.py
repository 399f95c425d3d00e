"""Every event in every state, in Postgres: legal pairs move the row and write an event, illegal ones do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func

from rebase_db import queue
from rebase_db.control import revive, transition
from rebase_db.outcomes import Done, Fail, Outcome, Reject, Release, Retry, Snooze
from rebase_db.queue import QUEUES, Claim, Queue
from rebase_db.rescue import rescue
from rebase_db.states import JOB, LINK, StateMachine
from tests.queue import rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.schema.chain import Row

MACHINES = [JOB, LINK]


def events_of(machine: StateMachine) -> list[str]:
    return sorted({event for _, event in machine.transitions})


PAIRS = [(of, state, event) for of in QUEUES for state in of.machine.states for event in events_of(of.machine)]


OUTCOMES: dict[str, Outcome] = {
    outcome.event: outcome
    for outcome in (Done(), Reject("of no use"), Retry("it broke"), Fail("it broke"), Snooze(1, "limit"), Release())
}


def try_event(connection: Connection, of: Queue, item_id: int, event: str, me: int) -> int:
    """Try an event on a row through the function that is for it; the number of rows it moved."""
    before = [state for state, name in of.machine.transitions if name == event]
    if event == "claim":
        return len(queue.claim(connection, of, me, 10))
    if event == "rescue":
        return rescue(connection, of, me)
    if event in OUTCOMES:
        values = rows.DONE.get(of.name) if event == "done" else None
        asked = [(Claim(item_id, 1, last=False), OUTCOMES[event])]
        return len(queue.settle(connection, of, me, asked, values))
    if event == "revive":
        return sum(revive(connection, of, [state], of.key == item_id) for state in before)
    values = {"finished_at": func.clock_timestamp()} if event == "cancel" else None
    return sum(transition(connection, of, event, [state], of.key == item_id, values) for state in before)


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


def test_a_move_that_is_not_in_the_table_is_a_mistake(connection: Connection) -> None:
    with pytest.raises(KeyError):
        revive(connection, queue.EMBED, ["done"], queue.EMBED.key == 1)
    for state in ("failed", "cancelled", "distilled"):
        with pytest.raises(KeyError):
            transition(connection, queue.TRANSFORM, "cancel", [state], queue.TRANSFORM.key == 1)
