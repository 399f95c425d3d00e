"""Who works: the workers as the database sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db import settings
from rebase_db.rescue import LIVENESS_LOCK
from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection

FINISHED_SECONDS = 3600
"""How far back the rows are counted that a worker finished: events have no index by worker."""


def workers(connection: Connection, *, everyone: bool = False) -> list[dict[str, Any]]:
    """Live workers, and dead ones whose rows nobody has rescued yet; with `everyone` all there were, newest first."""
    parameters = {"lock": LIVENESS_LOCK, "lease": settings.lease_seconds(), "everyone": everyone}
    return [dict(row) for row in connection.execute(text(named("workers")), parameters).mappings()]


def finished_by_worker(connection: Connection) -> dict[int, int]:
    """Rows that each worker finished within the last hour, by its id."""
    rows = connection.execute(text(named("finished_by_worker")), {"seconds": FINISHED_SECONDS})
    return {worker_id: finished for worker_id, finished in rows}  # noqa: C416 - rows are not tuples to dict()
