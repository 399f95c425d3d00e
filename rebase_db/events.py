"""The event rows of a transition, as a part of the statement that makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import CTE, ColumnElement, cast, insert, literal, null, select
from sqlalchemy.types import Integer, Text

from rebase_db.schema import Event

if TYPE_CHECKING:
    from rebase_db.queue import Queue


def log_transition(
    queue: Queue,
    moved: CTE,
    event: str | ColumnElement[str],
    before: ColumnElement[Any],
    *,
    to_state: ColumnElement[Any] | None = None,
    worker_id: ColumnElement[Any] | None = None,
    detail: ColumnElement[Any] | None = None,
) -> CTE:
    """A CTE that writes an event for each row of `moved`, which has `item_id` and `attempt`.

    Args:
        queue: Whose rows moved.
        moved: The CTE that moved them.
        event: Its name; where it differs from row to row, an expression, and then `to_state` is needed too.
        before: The state they were in.
        to_state: The state they are in now; by default the one the event leads to.
        worker_id: Who moved them, if it was the worker that held them.
        detail: What else there is to say.
    """
    if isinstance(event, str):
        to_state, event = literal(queue.machine.next_state_of(event)), literal(event)
    if to_state is None:
        raise ValueError("an event that is an expression needs the state it leads to")
    return (
        insert(Event)
        .from_select(
            ["queue", "item_id", "attempt", "from_state", "to_state", "event", "worker_id", "detail"],
            select(
                literal(queue.name),
                moved.c.item_id,
                moved.c.attempt,
                before,
                to_state,
                event,
                cast(null(), Integer) if worker_id is None else worker_id,
                cast(null(), Text) if detail is None else detail,
            ),
        )
        .cte("logged")
    )
