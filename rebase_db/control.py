"""What people do to rows in queues: retry, cancel, pause, prioritise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select, tuple_, update

from rebase_db.events import log_transition
from rebase_db.queue import DISTILL, EMBED, QUEUES, RETRIEVE, TRANSFORM, Queue
from rebase_db.schema import Retrieval, RetrievalLink, Task, TaskVersion, TrainingRun, TrainingSet
from rebase_db.schema.base import ATTEMPTS
from rebase_db.schema.hot import WAKE_CHANNEL
from rebase_db.schema.views import live_ranking
from rebase_db.task.store import find_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection


def transition(
    connection: Connection,
    queue: Queue,
    event: str,
    states: Sequence[str],
    which: ColumnElement[bool],
    values: dict[str, Any] | None = None,
) -> int:
    """Move every row in one of `states` that satisfies `which` on by `event`, claimed or not; their number.

    A worker that holds one of them loses it: its results will be refused. KeyError when a move is illegal.
    """
    table, machine = queue.table, queue.machine
    (after,) = {machine.next_state(state, event) for state in states}
    found = (
        select(queue.key, table.c.state)
        .where(or_(*(queue.in_state(state) for state in states)), which)
        .order_by(queue.key)  # whoever locks several does so in this order
        .with_for_update(key_share=True, of=table)
        .cte("found")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    moved = (
        update(table)
        .where(queue.key == found.c[queue.key.name])
        .values(state=after, worker_id=None, **(values or {}))
        .returning(queue.key.label("item_id"), table.c.attempt, found.c.state.label("from_state"))
        .cte("moved")
    )
    logged = log_transition(queue, moved, event, moved.c.from_state)
    return connection.execute(select(func.count()).select_from(moved).add_cte(logged)).scalar_one()


def revive(connection: Connection, queue: Queue, states: Sequence[str], which: ColumnElement[bool]) -> int:
    """Put rows in `states` that satisfy `which` back to ready with a fresh set of attempts; their number."""
    return transition(
        connection,
        queue,
        "revive",
        states,
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
        queue.stage: revive(connection, queue, ("failed", "cancelled"), which)
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
    values = {"error": "cancelled", "finished_at": func.clock_timestamp()}
    return {
        queue.stage: transition(
            connection, queue, "cancel", (queue.machine.ready, queue.machine.working), which, values
        )
        for queue, which in _rows_of(connection, task, stages)
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
    """The queues of `stages` with the condition for the rows of a task or of all.

    Of links those that workers would take, see `schema.views`. Chunks of texts are no task's.
    """
    live = select(live_ranking.c.task_version_id, live_ranking.c.encoder_id)
    links = TRANSFORM.eligible & tuple_(RetrievalLink.task_version_id, RetrievalLink.encoder_id).in_(live)
    if task is None:
        everything = {queue: queue.key.is_not(None) for queue in QUEUES} | {TRANSFORM: links}
        return [(queue, everything[queue]) for queue in QUEUES if queue.stage in stages]
    find_task(connection, task)
    versions = select(TaskVersion.task_version_id).join(Task).where(Task.name == task)
    sets = select(TrainingSet.training_set_id).where(TrainingSet.task_version_id.in_(versions))
    conditions = {
        RETRIEVE: Retrieval.task_version_id.in_(versions),
        TRANSFORM: RetrievalLink.task_version_id.in_(versions) & links,
        DISTILL: TrainingRun.training_set_id.in_(sets),
    }
    return [(queue, conditions[queue]) for queue in QUEUES if queue is not EMBED and queue.stage in stages]
