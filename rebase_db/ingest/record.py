"""What a load puts on record of itself: splits, columns, the revision it read of each, and what became of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from rebase_db import __version__
from rebase_db.ingest.limits import check_number
from rebase_db.ingest.receipt import ChangedColumn
from rebase_db.schema import (
    Base,
    Dataset,
    DatasetColumn,
    DatasetSplit,
    Ingest,
    IngestColumn,
    IngestRejection,
    IngestSplit,
)
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from rebase_db.ingest.source import SourceDataset, Split

VALUES_A_STATEMENT = 500  # far below the 65,535 parameters of a statement


def known_splits(connection: Connection, dataset_id: int) -> dict[tuple[str, str], int]:
    """The splits of a dataset, by config and name."""
    rows = connection.execute(
        select(DatasetSplit.config, DatasetSplit.split, DatasetSplit.split_id).where(
            DatasetSplit.dataset_id == dataset_id
        )
    )
    return {(config, split): split_id for config, split, split_id in rows}


def loaded_revisions(
    connection: Connection, dataset_id: int, max_rows: int | None
) -> dict[tuple[int | None, str], int]:
    """Rows by split and revision, of what stands: read whole or under this cap, no row left out, and no other since.

    A revision that another one followed is read again: some of its rows are not there any more.
    """
    found = connection.execute(text(named("loaded_revisions")), {"dataset_id": dataset_id, "max_rows": max_rows})
    return {(row.split_id, row.revision): row.rows for row in found}


def changed_columns(connection: Connection, dataset_id: int, ingest_id: int) -> list[ChangedColumn]:
    """The columns that a load has otherwise than the load before, split by split."""
    found = connection.execute(text(named("changed_columns")), {"dataset_id": dataset_id, "ingest_id": ingest_id})
    return [ChangedColumn(*row) for row in found]


def open_ingest(connection: Connection, dataset_id: int, match_by: str | None) -> int:
    """Begin a load of a dataset, which is locked; its number."""
    last = select(func.coalesce(func.max(Ingest.ingest_id), 0)).where(Ingest.dataset_id == dataset_id)
    ingest_id: int = connection.execute(last).scalar_one() + 1
    connection.execute(
        insert(Ingest).values(dataset_id=dataset_id, ingest_id=ingest_id, match_by=match_by, code_version=__version__)
    )
    return ingest_id


def add_splits(
    connection: Connection,
    dataset_id: int,
    ingest_id: int,
    max_rows: int | None,
    splits: Sequence[tuple[Split, int]],
    known: Collection[tuple[str, str]],
) -> None:
    """Record the splits that are new, and for all of them, with their numbers, that this load read them."""
    key = {"dataset_id": dataset_id}
    new = [
        key | {"split_id": split_id, "config": split.config, "split": split.split, "uri": split.uri}
        for split, split_id in splits
        if (split.config, split.split) not in known
    ]
    if new:
        connection.execute(insert(DatasetSplit).values(new))
    load = key | {"ingest_id": ingest_id, "max_rows": max_rows}
    connection.execute(
        insert(IngestSplit).values(
            [
                load | {"split_id": split_id, "revision": split.revision, "rows_in_source": split.rows}
                for split, split_id in splits
            ]
        )
    )


def add_columns(
    connection: Connection, dataset_id: int, ingest_id: int, source: SourceDataset, splits: Sequence[tuple[Split, int]]
) -> dict[str, int]:
    """Give every column a number in the dataset and record its place and type in each split read; numbers by name.

    Raises:
        SourceError: The dataset would have more columns than can be numbered.
    """
    known = select(DatasetColumn.name, DatasetColumn.column_id).where(DatasetColumn.dataset_id == dataset_id)
    columns: dict[str, int] = dict(connection.execute(known).all())
    described = [
        (split_id, position, name, source_type, reason)
        for split, split_id in splits
        for position, (name, source_type, reason) in enumerate(_described(split))
    ]
    new = [name for name in dict.fromkeys(name for _, _, name, _, _ in described) if name not in columns]
    columns |= {name: column_id for column_id, name in enumerate(new, len(columns) + 1)}
    check_number(source, "columns", len(columns))
    key = {"dataset_id": dataset_id}
    if new:
        _insert_values(connection, DatasetColumn, [key | {"column_id": columns[name], "name": name} for name in new])
    _insert_values(
        connection,
        IngestColumn,
        [
            key
            | {
                "ingest_id": ingest_id,
                "split_id": split_id,
                "column_id": columns[name],
                "position": position,
                "source_type": source_type,
                "left_out": reason,
            }
            for split_id, position, name, source_type, reason in described
        ],
    )
    return columns


def _described(split: Split) -> Iterator[tuple[str, str, str | None]]:
    """Name, source type and reason for leaving it out, of every column."""
    for column in split.columns:
        yield column.name, column.source_type, None
    for left_out in split.left_out:
        yield left_out.name, "", left_out.reason


def _insert_values(connection: Connection, model: type[Base], rows: list[dict[str, Any]]) -> None:
    """Insert rows that may be there already, a few hundred a statement."""
    for first in range(0, len(rows), VALUES_A_STATEMENT):
        connection.execute(upsert(model).values(rows[first : first + VALUES_A_STATEMENT]).on_conflict_do_nothing())


def close_ingest(
    connection: Connection,
    dataset_id: int,
    ingest_id: int,
    splits: Sequence[Mapping[str, Any]],
    last: Mapping[str, int],
    added: Mapping[str, int],
) -> None:
    """Write what came of a load, once and for all.

    Args:
        connection: Of the load.
        dataset_id: The dataset.
        ingest_id: The load.
        splits: Per split its number (`key_split_id`), counts by column of `ingest_split`, and the rows `rejected`.
        last: The highest numbers given, by column of `dataset`.
        added: Counts by column of `ingest`.
    """
    key = {"dataset_id": dataset_id, "ingest_id": ingest_id}
    counts = ("rows_added", "rows_unchanged", "rows_rejected", "rows_in_source")
    connection.execute(
        update(IngestSplit)
        .where(
            IngestSplit.dataset_id == dataset_id,
            IngestSplit.ingest_id == ingest_id,
            IngestSplit.split_id == bindparam("key_split_id"),
        )
        .values({name: bindparam(name) for name in counts} | {"finished_at": func.clock_timestamp()}),
        [{name: split[name] for name in ("key_split_id", *counts)} for split in splits],
    )
    rejections = [
        key
        | {
            "split_id": split["key_split_id"],
            "source_index": row.source_index,
            "line": row.line,
            "column_name": row.column,
            "reason": row.reason,
        }
        for split in splits
        for row in split["rejected"]
    ]
    if rejections:
        connection.execute(insert(IngestRejection), rejections)
    connection.execute(update(Dataset).where(Dataset.dataset_id == dataset_id).values(**last))
    connection.execute(
        update(Ingest)
        .where(Ingest.dataset_id == dataset_id, Ingest.ingest_id == ingest_id)
        .values(**added, finished_at=func.clock_timestamp())
    )
