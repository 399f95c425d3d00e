"""How far every stage of every task is: the numbers behind `rebase status` and the metrics of workers.

None of this reads a table of links or events from end to end; tests/cli/test_status_plan.py holds it to that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from rebase_db.queue import QUEUES
from rebase_db.schema import Task
from rebase_db.sql import named
from rebase_db.states import LINK

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy import Connection

RATE_SECONDS = 300
_ORDER = {queue.stage: place for place, queue in enumerate(QUEUES)}
_MACHINES = {queue.stage: queue.machine for queue in QUEUES}


@dataclass(slots=True)
class StageProgress:
    """One stage of one task; of `embed`, whose chunks of texts are no task's, `task` is empty.

    Attributes:
        stage: Its name.
        task: Whose rows.
        priority: The task's; workers take the highest first.
        paused_at: Since when workers take none of its rows, if they do not.
        states: Rows by state, in the order of the state machine.
        rate: Rows finished a second of late, for whatever end they came to.
        longest_seconds: How long the row that has been in hand longest has been so.
        heartbeat_age_seconds: Since the oldest last heartbeat among the workers that hold rows.
    """

    stage: str
    task: str
    priority: int = 0
    paused_at: dt.datetime | None = None
    states: dict[str, int] = field(default_factory=dict)
    rate: float = 0.0
    longest_seconds: float | None = None
    heartbeat_age_seconds: float | None = None

    @property
    def left(self) -> int:
        """Rows that wait or are being worked on."""
        machine = _MACHINES[self.stage]
        return self.states.get(machine.ready, 0) + self.states.get(machine.working, 0)

    @property
    def seconds_to_go(self) -> float | None:
        """How long what is left will take at this rate; None while nothing moves."""
        return self.left / self.rate if self.rate and self.left else None

    def as_dict(self) -> dict[str, Any]:
        """All of it, as `rebase status --json` prints it."""
        return {
            "stage": self.stage,
            "task": self.task or None,
            "priority": self.priority,
            "paused_at": self.paused_at,
            "states": self.states,
            "rate": self.rate,
            "seconds_to_go": self.seconds_to_go,
            "longest_seconds": self.longest_seconds,
            "heartbeat_age_seconds": self.heartbeat_age_seconds,
        }


def progress(connection: Connection) -> list[StageProgress]:
    """Every stage of every task that has rows, in the order data flows, tasks of high priority first."""
    steering = {
        task: (priority, paused_at)
        for task, priority, paused_at in connection.execute(select(Task.name, Task.priority, Task.paused_at))
    }
    found = {
        (stage, task): StageProgress(stage, task, *steering.get(task, (0, None)), states=states)
        for (stage, task), states in state_counts(connection).items()
    }
    for row in connection.execute(text(named("finished_rates")), {"seconds": RATE_SECONDS}):
        if one := found.get((row.stage, row.task)):
            one.rate = row.rate
    for held in rows_in_hand(connection):
        if one := found.get((held["stage"], held["task"])):
            one.longest_seconds, one.heartbeat_age_seconds = held["longest"], held["heartbeat_age"]
    return sorted(found.values(), key=lambda one: (_ORDER[one.stage], -one.priority, one.task))


def state_counts(connection: Connection) -> dict[tuple[str, str], dict[str, int]]:
    """Rows by state, by stage and task."""
    counted: dict[tuple[str, str], dict[str, int]] = {}
    for row in connection.execute(text(named("status")), {"finished": list(LINK.finished)}):
        counted.setdefault((row.stage, row.task), {})[row.state] = row.rows
    return {
        key: {state: states[state] for state in _MACHINES[key[0]].states if state in states}
        for key, states in counted.items()
    }


def rows_in_hand(connection: Connection) -> list[dict[str, Any]]:
    """What workers hold, by stage and task: rows, seconds since the oldest heartbeat, seconds of the longest claim."""
    return [dict(row) for row in connection.execute(text(named("rows_in_hand"))).mappings()]


def tasks_paused(connection: Connection) -> list[str]:
    """The names of the tasks that are paused."""
    return list(connection.execute(select(Task.name).where(Task.paused_at.is_not(None)).order_by(Task.name)).scalars())
