"""Which lanes of a queue have rows that could be claimed now: what a worker chooses its next batch from.

Paused tasks have none. Of a task, only the newest version counts, under the encoder of its newest retrieval: links of
older ones would cost a teacher's answers that nobody asks for any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rebase_db.queue import Lane, Queue


@dataclass(frozen=True, slots=True)
class ReadyLane:
    """A lane with work, and the highest priority of the tasks the work is for."""

    lane: Lane
    priority: int


def ready_lanes(connection: Connection, queue: Queue) -> list[ReadyLane]:
    """The lanes of a queue that have ready rows, highest priority first."""
    return _lanes(connection, queue, None)


def unfinished(connection: Connection, queue: Queue) -> bool:
    """Whether a row of the queue is being worked on, is ready, or will be once its retry time has come."""
    working = select(queue.key).where(queue.in_state(queue.machine.working)).limit(1)
    return connection.execute(working).first() is not None or bool(_lanes(connection, queue, "infinity"))


def unchecked_lanes(connection: Connection) -> list[Lane]:
    """The lanes of tasks whose examples wait to be compared with each other, and for nothing else."""
    return [tuple(row) for row in connection.execute(text(named("lanes_unchecked")))]


def _lanes(connection: Connection, queue: Queue, until: str | None) -> list[ReadyLane]:
    rows = connection.execute(text(named(f"lanes_{queue.stage}")), {"until": until})
    return [ReadyLane(tuple(row[:-1]), row[-1]) for row in rows]
