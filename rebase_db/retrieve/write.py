"""Writing a retrieval: new part scores, links by merging the ranking into what is there, mirrors, and the receipt."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import delete, func, select, text

from rebase_db.database.copy import FLOAT4, FLOAT8, INT2, INT4, array_field, copy_in, driver, tuples
from rebase_db.retrieve.stored import NOT_STORED
from rebase_db.schema import RowScore
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from rebase_db.retrieve.rank import Candidates, Ranking
    from rebase_db.retrieve.stored import TaskScores

_SELECTION = (
    ("dataset_id", INT4), ("row_id", INT4), ("input_column_id", INT2), ("output_column_id", INT2),
    ("input_score", FLOAT4), ("output_score", FLOAT4), ("dataset_score", FLOAT4), ("score", FLOAT8), ("rank", INT4),
)  # fmt: skip
_MIRROR = (("dataset_id", INT4), ("row_id", INT4), ("kept_dataset_id", INT4), ("kept_row_id", INT4))
_RECEIPT = tuple(
    (name, INT4)
    for name in ("retrieval_id", "dataset_id", "ranked", "scored", "entered", "returned", "kept", "displaced")
)
_SCORE_COLUMNS = (
    "task_version_id", "encoder_id", "dataset_id", "retrieval_id", "dataset_score", "row_ids", "input_scores",
    "output_scores", "input_columns", "output_columns",
)  # fmt: skip
_SCORE_HEAD = struct.Struct(">hiiiiiiiiif")


def lock_task(connection: Connection, task_version_id: int, encoder_id: int) -> None:
    """Keep other retrievals of the task waiting until the transaction ends: two at once would enter the same rows."""
    connection.execute(select(func.pg_advisory_xact_lock(task_version_id, encoder_id)))


def write_scores(
    connection: Connection, retrieval_id: int, task_version_id: int, encoder_id: int, scores: TaskScores
) -> None:
    """Make these the part scores of a task version, which is locked; datasets stored just so are left alone."""
    lane = RowScore.task_version_id == task_version_id, RowScore.encoder_id == encoder_id
    stored = _pairs(connection.execute(select(RowScore.dataset_id, RowScore.retrieval_id).where(*lane)))
    datasets = zip(scores.dataset_ids.tolist(), scores.stored_by.tolist(), strict=True)
    # By whom it was stored, for another retrieval may have done so since.
    same = {dataset_id for dataset_id, by in datasets if by != NOT_STORED and stored.get(dataset_id) == by}
    outdated = stored.keys() - same
    if outdated:
        connection.execute(delete(RowScore).where(*lane, RowScore.dataset_id.in_(outdated)))
    row_ids, bounds = scores.row_ids, scores.bounds.tolist()
    copy_in(
        connection,
        "row_score",
        _SCORE_COLUMNS,
        (
            b"".join(
                (
                    _SCORE_HEAD.pack(
                        10, 4, task_version_id, 4, encoder_id, 4, dataset_id, 4, retrieval_id, 4,
                        scores.dataset_scores[place],
                    ),
                    array_field(row_ids[rows], INT4),
                    array_field(scores.input_scores[rows], FLOAT4),
                    array_field(scores.output_scores[rows], FLOAT4),
                    array_field(scores.input_columns[rows], INT2),
                    array_field(scores.output_columns[rows], INT2),
                )
            )
            for place, dataset_id in enumerate(scores.dataset_ids.tolist())
            if dataset_id not in same
            for rows in [slice(bounds[place], bounds[place + 1])]
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of links: how many by column of `retrieval`, and by dataset."""

    counts: dict[str, int | float | None]
    entered: dict[int, int]
    returned: dict[int, int]
    kept: dict[int, int]
    displaced: dict[int, int]


def merge_links(
    connection: Connection,
    retrieval_id: int,
    task_version_id: int,
    encoder_id: int,
    rows: Candidates,
    ranking: Ranking,
) -> Merged:
    """Make the ranking that of the task, which is locked: displace links, re-rank those that stay, enter new ones.

    A link that comes back is the old one again, with its state and examples.
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
    displaced = _by_dataset(connection, "displace_links", run)
    returned = _by_dataset(connection, "returning_links", run)
    connection.execute(text(named("rerank_links")), run)
    entered = _by_dataset(connection, "enter_links", run)
    connection.execute(text(named("record_mirrors")), run)
    connection.execute(text(named("reopen_budget")), {"task_version_id": task_version_id})
    datasets, links = np.unique(rows.dataset_ids[chosen], return_counts=True)
    linked = dict(zip(datasets.tolist(), links.tolist(), strict=True))
    new = sum(entered.values())
    counts = {
        "rows_entered": new,
        "rows_kept": len(chosen) - new,
        "rows_displaced": sum(displaced.values()),
        "mirrors_left_out": len(left_out),
        "cutoff_score": float(ranking.scores[-1]) if len(chosen) else None,
    }
    stayed = {
        dataset_id: number - entered.get(dataset_id, 0) - returned.get(dataset_id, 0)
        for dataset_id, number in linked.items()
    }
    return Merged(counts, entered, returned, stayed, displaced)


def _by_dataset(connection: Connection, name: str, run: dict[str, int]) -> dict[int, int]:
    return _pairs(connection.execute(text(named(name)), run))


def _pairs(rows: Iterable[Any]) -> dict[int, int]:
    return dict(map(tuple, rows))


def write_receipt(
    connection: Connection, retrieval_id: int, ranked: dict[int, int], scores: TaskScores, merged: Merged
) -> None:
    """Record what a retrieval did to each dataset that has rows it scored, or links."""
    anew = dict(zip(scores.dataset_ids.tolist(), scores.anew.tolist(), strict=True))
    parts = (ranked, anew, merged.entered, merged.returned, merged.kept, merged.displaced)
    datasets = sorted(set().union(*parts))
    columns = [np.array([part.get(dataset_id, 0) for dataset_id in datasets], np.int32) for part in parts]
    buffer = tuples(_RECEIPT, [retrieval_id, np.array(datasets, np.int32), *columns])
    copy_in(connection, "retrieval_dataset", [name for name, _ in _RECEIPT], [buffer])
