"""The present ranking of a task: what it was asked by, and the links it has, had, or could have again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from rebase_db.errors import RebaseError
from rebase_db.retrieve.run import read_requests
from rebase_db.schema import Retrieval
from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rebase_db.retrieve.run import Request
    from rebase_db.task.store import StoredTask

RowKey = tuple[int, int]
"""Dataset id and row id."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link, and the example of its last attempt; `present` if it is in the present ranking."""

    link_id: int
    rank: int
    score: float
    present: bool
    state: str
    error: str | None
    example_id: int | None


def present_request(connection: Connection, task: StoredTask) -> Request:
    """What the present ranking of a task version was asked by, under the encoder it was ranked by last.

    Raises:
        RebaseError: It has none.
    """
    newest = (
        select(Retrieval.retrieval_id)
        .where(Retrieval.task_version_id == task.task_version_id, Retrieval.state == "done")
        .order_by(Retrieval.retrieval_id.desc())
        .limit(1)
    )
    found = connection.execute(newest).scalars().all()
    if not found:
        raise RebaseError(
            f"Version {task.version} of task {task.name!r} has no ranking yet.",
            hint=f"`rebase retrieve {task.name}` makes the first; what others would change can be asked then.",
        )
    (request,) = read_requests(connection, found)
    return request


def links_of(connection: Connection, request: Request) -> dict[RowKey, Link]:
    """Every link of a task version under an encoder, displaced ones too, by row."""
    lane = {"task_version_id": request.task_version_id, "encoder_id": request.encoder_id}
    found = connection.execute(text(named("ranked_links")), lane)
    return {(dataset_id, row_id): Link(*link) for dataset_id, row_id, *link in found}
