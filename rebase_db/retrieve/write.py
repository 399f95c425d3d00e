"""Writing a retrieval: scores of all rows, links by merging the ranking into what is there, and mirrors."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import delete, func, select, text

from rebase_db.database.copy import FLOAT4, FLOAT8, INT2, INT4, array_field, copy_in, driver, tuples
from rebase_db.schema import RowScore
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from rebase_db.retrieve.rank import Candidates, Ranking
    from rebase_db.retrieve.score import DatasetScores

_SELECTION = (
    ("dataset_id", INT4), ("row_id", INT4), ("input_column_id", INT2), ("output_column_id", INT2),
    ("input_score", FLOAT4), ("output_score", FLOAT4), ("dataset_score", FLOAT4), ("score", FLOAT8), ("rank", INT4),
)  # fmt: skip
_MIRROR = (("dataset_id", INT4), ("row_id", INT4), ("kept_dataset_id", INT4), ("kept_row_id", INT4))
_SCORE_COLUMNS = (
    "task_version_id", "encoder_id", "dataset_id", "retrieval_id", "dataset_score", "row_ids", "input_scores",
    "output_scores", "input_columns", "output_columns",
)  # fmt: skip
_SCORE_HEAD = struct.Struct(">hiiiiiiiiif")


def lock_task(connection: Connection, task_version_id: int, encoder_id: int) -> None:
    """Keep other retrievals of the task waiting until the transaction ends: two at once would enter the same rows."""
    connection.execute(select(func.pg_advisory_xact_lock(task_version_id, encoder_id)))


def write_scores(
    connection: Connection,
    retrieval_id: int,
    task_version_id: int,
    encoder_id: int,
    scores: Sequence[tuple[int, DatasetScores]],
) -> None:
    """Replace the part scores of a task version, which is locked.

    `scores` is, for each dataset, the task's place in the arrays and the arrays.
    """
    connection.execute(
        delete(RowScore).where(RowScore.task_version_id == task_version_id, RowScore.encoder_id == encoder_id)
    )
    copy_in(
        connection,
        "row_score",
        _SCORE_COLUMNS,
        (
            b"".join(
                (
                    _SCORE_HEAD.pack(
                        10, 4, task_version_id, 4, encoder_id, 4, part.dataset_id, 4, retrieval_id, 4,
                        part.dataset_scores[place],
                    ),
                    array_field(part.row_ids, INT4),
                    array_field(part.input_scores[place], FLOAT4),
                    array_field(part.output_scores[place], FLOAT4),
                    array_field(part.input_columns[place], INT2),
                    array_field(part.output_columns[place], INT2),
                )
            )
            for place, part in scores
        ),
    )  # fmt: skip


def merge_links(
    connection: Connection,
    retrieval_id: int,
    task_version_id: int,
    encoder_id: int,
    rows: Candidates,
    ranking: Ranking,
) -> dict[str, int | float | None]:
    """Make the ranking that of the task, which is locked: displace links, re-rank those that stay, enter new ones.

    A link that comes back is the old one again, with its state and examples. Returns the run's counts, by column of
    `retrieval`.
    """
    chosen = ranking.chosen
    columns: list[NDArray[Any]] = [
        rows.dataset_ids[chosen],
        rows.row_ids[chosen],
        rows.input_columns[chosen],
        rows.output_columns[chosen],
        rows.input_scores[chosen],
        rows.output_scores[chosen],
        rows.dataset_scores[chosen],
        ranking.scores,
        np.arange(1, len(chosen) + 1),
    ]
    driver(connection).execute(named("selection_tables"))
    copy_in(connection, "selection", [name for name, _ in _SELECTION], [tuples(_SELECTION, columns)])
    left_out, kept = ranking.mirrors[:, 0], ranking.mirrors[:, 1]
    mirrors = [rows.dataset_ids[left_out], rows.row_ids[left_out], rows.dataset_ids[kept], rows.row_ids[kept]]
    copy_in(connection, "left_out", [name for name, _ in _MIRROR], [tuples(_MIRROR, mirrors)])
    run = {"retrieval_id": retrieval_id, "task_version_id": task_version_id, "encoder_id": encoder_id}
    displaced = connection.execute(text(named("displace_links")), run).rowcount
    connection.execute(text(named("rerank_links")), run)
    entered = connection.execute(text(named("enter_links")), run).rowcount
    connection.execute(text(named("record_mirrors")), run)
    connection.execute(text(named("reopen_budget")), {"task_version_id": task_version_id})
    return {
        "rows_scored": len(rows.row_ids),
        "rows_entered": entered,
        "rows_kept": len(chosen) - entered,
        "rows_displaced": displaced,
        "mirrors_left_out": len(left_out),
        "cutoff_score": float(ranking.scores[-1]) if len(chosen) else None,
    }
