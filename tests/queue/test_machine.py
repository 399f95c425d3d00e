"""Any sequence of what workers, people and time can do to rows, in Postgres and in a model of ten lines a move.

After each step the database is what the model says, and what the events tell of a row is a path through its machine.
Locks and commits are not its matter (see test_contention): all workers act over one connection, in turn.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, or_, select, text, update

from rebase_db import queue
from rebase_db.control import revive, transition
from rebase_db.outcomes import Done, Fail, Outcome, Reject, Release, Retry, Snooze
from rebase_db.queue import Claim, Queue
from rebase_db.rescue import LIVENESS_LOCK, rescue
from rebase_db.schema import Event, Worker
from rebase_db.schema.base import ATTEMPTS
from rebase_db.states import JOB, LINK
from tests.queue import rows

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.schema.chain import Row

ROWS = 4
WORKERS = 3
LONGEST = dt.timedelta(minutes=20)
"""Longer than any delay; shorter than the hour that stands for all of them."""
OUTCOMES: list[Outcome] = [Done(), Retry("E"), Retry("E", 60), Fail("E"), Reject("no"), Snooze(30, "busy"), Release()]


@dataclass
class Item:
    """What the model knows of a row."""

    state: str
    worker: int | None = None
    attempt: int = 0
    limit: int = ATTEMPTS
    crashes: int = 0
    due: bool = True
    path: list[tuple[str, str, str, int]] = field(default_factory=list)

    def move(self, event: str, after: str) -> None:
        self.path.append((event, self.state, after, self.attempt))
        self.state, self.worker = after, None


REVIVABLE = sorted({state for machine in (JOB, LINK) for state, event in machine.transitions if event == "revive"})
SOME_ROWS = st.sets(st.integers(0, ROWS - 1), min_size=1)


class Machine(RuleBasedStateMachine):
    """The machine for `of`, on a database that is left as it was."""

    of: ClassVar[Queue]
    engine: ClassVar[Engine]
    chain: ClassVar[dict[str, Row]]

    def __init__(self) -> None:
        super().__init__()
        self.connection: Connection = self.engine.connect()
        self.locks: Connection = self.engine.connect()
        self.items: dict[int, Item] = {}
        self.ids: list[int] = []
        self.dead: set[int] = set()
        # Everything a worker was ever given: it may come back with any of it, however late.
        self.claims: dict[int, list[Claim]] = {}

    @initialize()
    def begin(self) -> None:
        self.ids = rows.add_ready(self.connection, self.chain, self.of, ROWS)
        self.items = {item_id: Item(self.of.machine.ready) for item_id in self.ids}
        for _ in range(WORKERS):
            self.add_worker()

    def add_worker(self) -> int:
        worker = rows.add_worker(self.connection)
        self.locks.execute(text("SELECT pg_advisory_lock(:kind, :id)"), {"kind": LIVENESS_LOCK, "id": worker})
        self.claims[worker] = []
        return worker

    def worker(self, number: int, *, alive: bool = True) -> int:
        """One of the workers."""
        found = [each for each in self.claims if not alive or each not in self.dead]
        return found[number % len(found)]

    @rule(number=st.integers(0, 9), limit=st.integers(1, ROWS + 1))
    def claim(self, number: int, limit: int) -> None:
        worker = self.worker(number)
        order = (
            select(self.of.key)
            .where(self.of.in_state(self.of.machine.ready))
            .order_by(self.of.table.c.ready_at, self.of.rank)
        )
        ready = [item_id for item_id in self.connection.execute(order).scalars() if self.items[item_id].due]
        picked = ready[:limit]
        crashes = self.items[picked[0]].crashes if picked else 0
        alike = [item_id for item_id in picked if self.items[item_id].crashes == crashes]
        expected = []
        for item_id in alike[: max(1, limit >> 2 * crashes)]:
            item = self.items[item_id]
            item.attempt += 1
            item.move("claim", self.of.machine.working)
            item.worker = worker
            expected.append(Claim(item_id, item.attempt, last=item.attempt == item.limit))
        found = queue.claim(self.connection, self.of, worker, limit)
        assert found == sorted(expected, key=lambda claim: claim.item_id)
        self.claims[worker] += found

    def held(self, worker: int) -> list[Claim]:
        return [
            claim
            for claim in self.claims[worker]
            if (self.items[claim.item_id].worker, self.items[claim.item_id].attempt) == (worker, claim.attempt)
        ]

    @rule(number=st.integers(0, 9))
    def hold(self, number: int) -> None:
        worker = self.worker(number, alive=False)
        assert queue.hold(self.connection, self.of, worker, self.claims[worker]) == self.held(worker)

    # Dead ones too: what is taken for dead may only have been slow.
    @rule(number=st.integers(0, 9), drawn=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=6))
    def settle(self, number: int, drawn: list[Outcome]) -> None:
        worker = self.worker(number, alive=False)
        drawn = [each for each in drawn if (self.of.machine.working, each.event) in self.of.machine.transitions]
        newest = {claim.item_id: claim for claim in self.claims[worker]}
        late = [claim for claim in self.claims[worker] if newest[claim.item_id] != claim]
        asked = list(zip([*newest.values(), *late[-1:]], drawn * 6, strict=False))
        if late:  # a row is named once
            asked = [(claim, outcome) for claim, outcome in asked if claim.item_id != late[-1].item_id or claim in late]
        held, before = set(self.held(worker)), self.clock()
        settled = queue.settle(self.connection, self.of, worker, asked)
        assert settled == [claim for claim, _ in asked if claim in held]
        for claim, outcome in asked:
            if claim in held:
                self.carry_out(self.items[claim.item_id], outcome)
        self.push_away(before)

    def carry_out(self, item: Item, outcome: Outcome) -> None:
        """The model's own words for what an outcome does."""
        event = outcome.event
        if isinstance(outcome, Retry) and item.attempt == item.limit:
            event = "fail"
        item.move(event, self.of.machine.transitions[self.of.machine.working, event])
        if isinstance(outcome, (Snooze, Release)):
            item.limit += 1
        item.due = event not in {"retry", "snooze"}
        if item.state in self.of.machine.finished:
            item.crashes = 0

    def clock(self) -> dt.datetime:
        return rows.clock(self.connection)

    def push_away(self, before: dt.datetime) -> None:
        """Check delays, and make them so long that no slow machine sees them end."""
        waiting = [
            item_id for item_id, item in self.items.items() if item.state == self.of.machine.ready and not item.due
        ]
        times = select(self.of.key, self.of.table.c.ready_at).where(self.of.key.in_(waiting))
        for item_id, ready_at in self.connection.execute(times):
            delay = ready_at - before
            assert dt.timedelta(seconds=0.5) <= delay, item_id
        hour = self.clock() + dt.timedelta(hours=1)
        soon = self.of.table.c.ready_at < before + LONGEST
        self.connection.execute(update(self.of.table).where(self.of.key.in_(waiting), soon).values(ready_at=hour))

    @rule(place=st.integers(0, ROWS - 1))
    def time_passes(self, place: int) -> None:
        """A row's time has come."""
        item = self.items[self.ids[place]]
        if item.state == self.of.machine.ready and not item.due:
            item.due = True
            now = func.clock_timestamp()
            self.connection.execute(update(self.of.table).where(self.of.key == self.ids[place]).values(ready_at=now))

    @rule(number=st.integers(0, 9), how=st.sampled_from(["stopped", "silent", "lost"]))
    def die(self, number: int, how: str) -> None:
        """A worker ends, falls silent or loses its connection; another takes its place."""
        worker = self.worker(number)
        self.dead.add(worker)
        changes: dict[str, dict[str, Any]] = {
            "stopped": {"stopped_at": func.clock_timestamp()},
            "silent": {"heartbeat_at": func.clock_timestamp() - text("interval '2 hours'")},
        }
        if how in changes:
            self.connection.execute(update(Worker).where(Worker.worker_id == worker).values(changes[how]))
        else:
            unlock = text("SELECT pg_advisory_unlock(:kind, :id)")
            assert self.locks.execute(unlock, {"kind": LIVENESS_LOCK, "id": worker}).scalar_one()
        self.add_worker()

    @rule(number=st.integers(0, 9))
    def rescue(self, number: int) -> None:
        left = [item for item in self.items.values() if item.worker in self.dead]
        assert rescue(self.connection, self.of, self.worker(number)) == len(left)
        for item in left:
            item.crashes += 1
            item.due = True
            if item.attempt == item.limit:
                item.move("fail", "failed")
            else:
                item.move("rescue", self.of.machine.ready)

    @rule(places=SOME_ROWS, state=st.sampled_from(REVIVABLE))
    def retry(self, places: set[int], state: str) -> None:
        if (state, "revive") not in self.of.machine.transitions:
            return
        which = {self.ids[place] for place in places}
        moved = [item for item_id, item in self.items.items() if item_id in which and item.state == state]
        assert revive(self.connection, self.of, [state], self.of.key.in_(which)) == len(moved)
        for item in moved:
            item.move("revive", self.of.machine.ready)
            item.limit, item.crashes, item.due = item.attempt + ATTEMPTS, 0, True

    @rule(places=SOME_ROWS, working=st.booleans())
    def cancel(self, places: set[int], *, working: bool) -> None:
        state = self.of.machine.working if working else self.of.machine.ready
        which = {self.ids[place] for place in places}
        moved = [item for item_id, item in self.items.items() if item_id in which and item.state == state]
        values = {"finished_at": func.clock_timestamp()}
        assert transition(self.connection, self.of, "cancel", [state], self.of.key.in_(which), values) == len(moved)
        for item in moved:
            item.move("cancel", "cancelled")

    @invariant()
    def the_database_is_what_the_model_says(self) -> None:
        columns = self.of.table.c
        stored = self.connection.execute(
            select(
                self.of.key, columns.state, columns.worker_id, columns.attempt, columns.attempt_limit, columns.crashes,
                columns.finished_at.is_not(None),
                or_(columns.state != self.of.machine.ready, columns.ready_at <= func.clock_timestamp()),
            ).where(self.of.key.in_(self.ids))
        )  # fmt: skip
        assert {row[0]: tuple(row[1:]) for row in stored} == {
            item_id: (
                item.state, item.worker, item.attempt, item.limit, item.crashes, item.state in self.of.machine.finished,
                item.due or item.state != self.of.machine.ready,
            )
            for item_id, item in self.items.items()
        }  # fmt: skip
        assert all(item.attempt <= item.limit for item in self.items.values())

    @invariant()
    def what_happened_is_a_path_through_the_machine(self) -> None:
        told = select(Event.item_id, Event.event, Event.from_state, Event.to_state, Event.attempt)
        written: dict[int, list[tuple[str, str, str, int]]] = {item_id: [] for item_id in self.ids}
        mine = told.where(Event.queue == self.of.name, Event.item_id.in_(self.ids)).order_by(Event.event_id)
        for item_id, event, before, after, attempt in self.connection.execute(mine):
            written[item_id].append((event, before, after, attempt))
        for item_id, path in written.items():
            assert path == self.items[item_id].path
            state, attempts = self.of.machine.ready, 0
            for event, before, after, attempt in path:
                assert (before, self.of.machine.transitions[before, event]) == (state, after)
                attempts += event == "claim"
                assert attempt == attempts
                state = after

    def teardown(self) -> None:
        self.connection.rollback()
        self.connection.close()
        self.locks.execute(text("SELECT pg_advisory_unlock_all()"))
        self.locks.close()


# The other queues have these machines too, and columns that a done row must have.
@pytest.mark.parametrize("of", [queue.EMBED, queue.TRANSFORM], ids=lambda of: of.machine.name)
@pytest.mark.parametrize("histories", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_whatever_happens_rows_go_the_way_of_the_model(
    lineage: tuple[Engine, dict[str, Row]], of: Queue, histories: int
) -> None:
    engine, chain = lineage
    run_state_machine_as_test(
        type("Machine", (Machine,), {"of": of, "engine": engine, "chain": chain}),
        settings=settings(
            max_examples=histories,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
