"""Datasets that stand in memory, and what the database has of a dataset, read back by plain SELECTs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.ingest.source import Batch, Column, LeftOutColumn, RejectedRow, SourceDataset, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Engine

Row = dict[str, str | None]
ROWS_A_BATCH = 3


def split_of(
    rows: Sequence[Mapping[str, str | None]],
    config: str = "default",
    split: str = "train",
    *,
    revision: str | None = None,
    index: Sequence[int] | None = None,
    keys: Sequence[str | None] | None = None,
    left_out: Sequence[LeftOutColumn] = (),
    rejected: Sequence[RejectedRow] = (),
    before_batch: Callable[[int], None] = lambda _: None,
) -> Split:
    """A split of `rows`, read three at a time.

    Args:
        rows: Its rows; one may lack a column another has.
        config: Its config.
        split: Its name.
        revision: By default a hash of the rows.
        index: The rows' places in the whole split, where they are a sample.
        keys: The rows' own keys.
        left_out: Columns that are not read.
        rejected: Rows that reading leaves out.
        before_batch: Called with the number of each batch before it is handed over.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    indexes = list(range(len(rows)) if index is None else index)
    own: list[str | None] = [None] * len(rows) if keys is None else list(keys)

    def read(left: list[RejectedRow]) -> Iterator[Batch]:
        left += rejected
        for number, first in enumerate(range(0, len(rows), ROWS_A_BATCH)):
            before_batch(number)
            part = slice(first, first + ROWS_A_BATCH)
            yield Batch(indexes[part], own[part], [[row.get(name) for row in rows[part]] for name in names])

    return Split(
        config=config,
        split=split,
        uri=f"test:{config}/{split}",
        revision=revision or hashlib.sha256(repr((indexes, rows)).encode()).hexdigest(),
        rows=None,
        columns=tuple(Column(name, "string") for name in names),
        left_out=tuple(left_out),
        read=read,
    )


def dataset_of(name: str, *splits: Split, description: str = "", licence: str = "") -> SourceDataset:
    """A dataset of these splits."""
    return SourceDataset(name, f"test:{name}", description, licence, list(splits))


@dataclass(frozen=True)
class StoredRow:
    """A row as the database has it; `cells` by column name, in column order."""

    config: str
    split: str
    source_index: int
    source_key: str | None
    cells: dict[str, str]
    content: dict[str, str]
    content_hash: bytes


_ROWS = """
SELECT config, split, source_index, source_key, content, content_hash, dataset_id, row_id
FROM source_row
INNER JOIN dataset USING (dataset_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
WHERE dataset.name = :name
ORDER BY row_id
"""
_CELLS = """
SELECT row_id, dataset_column.name, text.text
FROM cell
INNER JOIN dataset USING (dataset_id)
INNER JOIN dataset_column USING (dataset_id, column_id)
INNER JOIN text USING (dataset_id, text_id)
WHERE dataset.name = :name
ORDER BY row_id, column_id
"""


def stored_rows(engine: Engine, name: str) -> list[StoredRow]:
    """The rows of a dataset in order of their ids, which are checked to count from 1."""
    with engine.connect() as connection:
        rows = connection.execute(text(_ROWS), {"name": name}).all()
        cells: dict[int, dict[str, str]] = {}
        for row_id, column, value in connection.execute(text(_CELLS), {"name": name}):
            cells.setdefault(row_id, {})[column] = value
    assert [row.row_id for row in rows] == list(range(1, len(rows) + 1))
    return [
        StoredRow(
            row.config,
            row.split,
            row.source_index,
            row.source_key,
            cells.get(row.row_id, {}),
            row.content,
            row.content_hash,
        )
        for row in rows
    ]


def stored_texts(engine: Engine, name: str) -> list[str]:
    """The texts of a dataset in order of their ids, which are checked to count from 1; the first is its description."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT text_id, text.text FROM text JOIN dataset USING (dataset_id) WHERE name = :name ORDER BY 1"),
            {"name": name},
        ).all()
    assert [row.text_id for row in rows] == list(range(1, len(rows) + 1))
    return [row.text for row in rows]


def counts(engine: Engine) -> dict[str, int]:
    """Number of rows of every table that ingest writes."""
    tables = (
        "dataset", "dataset_split", "dataset_column", "ingest_column", "ingest", "ingest_split", "ingest_rejection",
        "source_row", "text", "cell",
    )  # fmt: skip
    with engine.connect() as connection:
        return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables}  # noqa: S608 - names of ours


def fetch(engine: Engine, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a query as plain tuples."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), parameters)]
