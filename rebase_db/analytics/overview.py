"""What is there and how far it is: the numbers behind `rebase status` and `rebase datasets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection


def corpus_counts(connection: Connection) -> dict[str, int]:
    """Datasets, rows, cells, texts and examples."""
    return {
        name: int(value) for name, value in connection.execute(text(named("corpus_counts"))).mappings().one().items()
    }


def failures(connection: Connection) -> list[dict[str, Any]]:
    """Errors of rows that failed for good."""
    return _all(connection, "failures")


def datasets(connection: Connection) -> list[dict[str, Any]]:
    """One record a dataset."""
    return _all(connection, "datasets")


def encoders(connection: Connection) -> list[dict[str, Any]]:
    """One record an encoder."""
    return [
        {name: value if isinstance(value, str) else int(value) for name, value in row.items()}
        for row in _all(connection, "encoders")
    ]


def task_sources(connection: Connection, task_version_id: int, encoder_id: int) -> list[tuple[str, int]]:
    """Datasets and the number of the task's accepted examples from each, most first."""
    rows = connection.execute(
        text(named("task_sources")), {"task_version_id": task_version_id, "encoder_id": encoder_id}
    )
    return [(name, count) for name, count in rows]


def _all(connection: Connection, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(named(query))).mappings()]
