"""What people do to rows in queues: retry, cancel, pause, prioritise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal, or_, select, update

from rebase_db.events import log_transition
from rebase_db.queue import DISTILL, EMBED, QUEUES, RETRIEVE, TRANSFORM, Queue
from rebase_db.schema import Retrieval, RetrievalLink, Task, TaskVersion, TrainingRun, TrainingSet
from rebase_db.schema.base import ATTEMPTS
from rebase_db.schema.hot import WAKE_CHANNEL
from rebase_db.task.store import find_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection


def transition(
    connection: Connection,
    queue: Queue,
    event: str,
    state: str,
    which: ColumnElement[bool],
    values: dict[str, Any] | None = None,
) -> int:
    """Move every row in `state` that satisfies `which` on by `event`, claimed or not; their number.

    A worker that holds one of them loses it: its results will be refused. KeyError when the move is illegal.
    """
    table, machine = queue.table, queue.machine
    after = machine.next_state(state, event)
    moved = (
        update(table)
        .where(queue.in_state(state), which)
        .values(state=after, worker_id=None, **(values or {}))
        .returning(queue.key.label("item_id"), table.c.attempt)
        .cte("moved")
    )
    logged = log_transition(queue, moved, event, literal(state))
    return connection.execute(select(func.count()).select_from(moved).add_cte(logged)).scalar_one()


def revive(connection: Connection, queue: Queue, state: str, which: ColumnElement[bool]) -> int:
    """Put rows in `state` that satisfy `which` back to ready with a fresh set of attempts; their number."""
    return transition(
        connection,
        queue,
        "revive",
        state,
        which,
        {
            "error": None,
            "finished_at": None,
            "ready_at": func.clock_timestamp(),
            "attempt_limit": queue.table.c.attempt + ATTEMPTS,
            "crashes": 0,
        },
    )


def retry(connection: Connection, task: str | None, stages: Sequence[str]) -> dict[str, int]:
    """Put back what failed or was cancelled in these stages, of one task or of all; rows by stage.

    Raises:
        UnknownNameError: There is no such task.
    """
    found = {
        # Not `eligible`, which leaves out what is paused: that is to be tried again when it is resumed.
        queue.stage: sum(
            revive(
                connection, queue, state, RetrievalLink.displaced_by.is_(None) & which if queue is TRANSFORM else which
            )
            for state in ("failed", "cancelled")
        )
        for queue, which in _rows_of(connection, task, stages)
    }
    wake(connection)
    return found


def cancel(connection: Connection, task: str, stages: Sequence[str]) -> dict[str, int]:
    """Cancel what waits or is being worked on in these stages of a task; rows by stage.

    A worker that holds such a row notices when it next writes, and nothing it writes then is kept.

    Raises:
        UnknownNameError: There is no such task.
    """
    return {
        queue.stage: sum(
            transition(
                connection,
                queue,
                "cancel",
                state,
                condition,
                {"error": "cancelled", "finished_at": func.clock_timestamp()},
            )
            for state in (queue.machine.ready, queue.machine.working)
        )
        for queue, condition in _rows_of(connection, task, stages)
    }


def cancellable(connection: Connection, task: str, stages: Sequence[str]) -> dict[str, int]:
    """What `cancel` would cancel now; rows by stage.

    Raises:
        UnknownNameError: There is no such task.
    """
    return {
        queue.stage: connection.execute(
            select(func.count())
            .select_from(queue.table)
            .where(or_(queue.in_state(queue.machine.ready), queue.in_state(queue.machine.working)), condition)
        ).scalar_one()
        for queue, condition in _rows_of(connection, task, stages)
    }


def is_paused(connection: Connection, task: str) -> bool:
    """Whether a task is paused; one that is not there is not."""
    paused = select(Task.task_id).where(Task.name == task, Task.paused_at.is_not(None))
    return connection.execute(paused).first() is not None


def pause(connection: Connection, task: str) -> None:
    """Have workers take no more of a task's rows; what is in hand is finished.

    Raises:
        UnknownNameError: There is no such task.
    """
    find_task(connection, task)
    connection.execute(
        update(Task).where(Task.name == task, Task.paused_at.is_(None)).values(paused_at=func.clock_timestamp())
    )


def resume(connection: Connection, task: str) -> None:
    """Undo `pause`.

    Raises:
        UnknownNameError: There is no such task.
    """
    find_task(connection, task)
    connection.execute(update(Task).where(Task.name == task).values(paused_at=None))
    wake(connection)


def prioritize(connection: Connection, task: str, priority: int) -> None:
    """Have workers take a task's rows before those of tasks with a lower priority; 0 is what tasks begin with.

    Raises:
        UnknownNameError: There is no such task.
    """
    find_task(connection, task)
    connection.execute(update(Task).where(Task.name == task).values(priority=priority))
    wake(connection)


def wake(connection: Connection) -> None:
    """Tell idle workers, when the transaction commits, that there may be work."""
    connection.execute(select(func.pg_notify(WAKE_CHANNEL, "")))


def _rows_of(
    connection: Connection, task: str | None, stages: Sequence[str]
) -> list[tuple[Queue, ColumnElement[bool]]]:
    """The queues of `stages` with the condition for a task's rows; chunks of texts are no task's."""
    if task is None:
        return [(queue, queue.key.is_not(None)) for queue in QUEUES if queue.stage in stages]
    find_task(connection, task)
    versions = select(TaskVersion.task_version_id).join(Task).where(Task.name == task)
    sets = select(TrainingSet.training_set_id).where(TrainingSet.task_version_id.in_(versions))
    conditions = {
        RETRIEVE: Retrieval.task_version_id.in_(versions),
        TRANSFORM: RetrievalLink.task_version_id.in_(versions),
        DISTILL: TrainingRun.training_set_id.in_(sets),
    }
    return [(queue, conditions[queue]) for queue in QUEUES if queue is not EMBED and queue.stage in stages]
