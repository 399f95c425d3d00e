"""Any sequence of claims, settlements, deaths and new limits: the books agree with a model of a few lines.

After each step the budget's counters are the sums over its reservations, and what is spent and set aside is within the
limit. Locks are not its matter (see test_reservation_contention): all workers act in turn.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, func, select, update

from rebase_db import queue
from rebase_db.lanes import ready_lanes
from rebase_db.outcomes import Done, Reject, Release
from rebase_db.schema import RetrievalLink, Task, TaskVersion
from tests.queue import rows
from tests.transform.budgeted import Budgeted, begin, each_takes, taking

ROWS = 10
FULL = 10
OUTCOMES = [Done(), Reject("no"), Release()]


class Machine(RuleBasedStateMachine):
    """One task, two workers at a time; each example has a task of its own."""

    engine: ClassVar[Engine]
    base: ClassVar[Budgeted]

    def __init__(self) -> None:
        super().__init__()
        self.limit = 0
        self.spent = 0
        # What is set aside, by link: for whom, and how much; and what was lost sight of since the last claim.
        self.held: dict[int, tuple[int, int]] = {}
        self.lost = 0
        self.exhausted = False

    @initialize(limit=st.integers(0, 8 * FULL))
    def begin(self, limit: int) -> None:
        with self.engine.begin() as connection:
            count = connection.execute(select(func.count()).select_from(Task)).scalar_one()
            version = rows.add_task(connection, f"task {count}")
            encoder = self.base.lane[1]
            rows.copy_links(connection, version, encoder, rows.add_retrieval(connection, version, encoder))
            task_id = connection.execute(
                select(TaskVersion.task_id).where(TaskVersion.task_version_id == version)
            ).scalar_one()
        self.task = Budgeted(self.engine, f"task {count}", task_id, (version, encoder), [])
        self.workers = [self.task.worker(), self.task.worker()]
        self.set_limit(limit)

    @rule(limit=st.integers(0, 12 * FULL))
    def set_limit(self, limit: int) -> None:
        """No lower than what is spent and set aside, so that the invariant is one."""
        self.limit = max(limit, self.spent + self.lost + sum(most for _, most in self.held.values()))
        self.task.limit(tokens=self.limit)
        self.exhausted = False

    def ready(self) -> int:
        with self.engine.connect() as connection:
            waiting = queue.TRANSFORM.in_lane(self.task.lane) & (RetrievalLink.state == "retrieved")
            return connection.execute(select(func.count()).select_from(RetrievalLink).where(waiting)).scalar_one()

    @rule(who=st.integers(0, 1), limit=st.integers(1, ROWS + 2), most=st.integers(1, FULL))
    def claim(self, who: int, limit: int, most: int) -> None:
        self.spent, self.lost = self.spent + self.lost, 0
        room = self.limit - self.spent - sum(held for _, held in self.held.values())
        ready = self.ready()
        claimed = self.task.claim(self.workers[who], limit, each_takes(taking(most)))
        assert len(claimed) == min(limit, ready, room // most)
        self.held |= dict.fromkeys(claimed, (self.workers[who], most))
        if claimed:
            self.exhausted = False
        elif ready and not self.held:
            self.exhausted = True

    @rule(who=st.integers(0, 1), count=st.integers(1, 4), share=st.integers(0, 10), outcome=st.sampled_from(OUTCOMES))
    def settle(self, who: int, count: int, share: int, outcome: Done | Reject | Release) -> None:
        """A tenth of the most or more; ten tenths stand for what nobody knows."""
        worker = self.workers[who]
        mine = [link for link, (holder, _) in self.held.items() if holder == worker][:count]
        usages = {link: None if share == 10 else taking(self.held[link][1] * share // 10) for link in mine}
        assert self.task.settle(worker, usages, outcome) == mine
        for link, usage in usages.items():
            _, most = self.held.pop(link)
            self.spent += most if usage is None else usage.prompt_tokens or 0
        if mine:
            self.exhausted = False

    @rule(who=st.integers(0, 1))
    def die(self, who: int) -> None:
        """A worker's rows go back to the others, and what it had under way is lost sight of."""
        worker = self.workers[who]
        gone = [link for link, (holder, _) in self.held.items() if holder == worker]
        back = {"state": "retrieved", "worker_id": None}
        with self.engine.begin() as connection:
            connection.execute(update(RetrievalLink).where(RetrievalLink.link_id.in_(gone)).values(back))
        assert self.task.settle(worker, dict.fromkeys(gone, taking(0)), Done()) == []
        self.lost += sum(self.held.pop(link)[1] for link in gone)
        self.workers[who] = self.task.worker()

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "task"):
            return
        spent, held = self.task.tokens()
        assert (spent, held) == (self.spent, self.lost + sum(most for _, most in self.held.values()))
        assert self.task.state().exhausted == self.exhausted
        with self.engine.connect() as connection:
            served = any(each.lane == self.task.lane for each in ready_lanes(connection, queue.TRANSFORM))
        assert served == (bool(self.ready()) and not self.exhausted)


@pytest.mark.parametrize("histories", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_whatever_happens_the_books_agree_and_the_limit_holds(engine: Engine, histories: int) -> None:
    machine = type("Machine", (Machine,), {"engine": engine, "base": begin(engine, ROWS)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
