"""Reading what retrieval needs of the corpus: which rows compete, and of some rows their cells and vectors.

Rows and texts are asked for by keys (dataset id in the upper half, row or text id in the lower), which come in runs
almost always. The server packs: one message a run, instead of one per row, since a message a row costs the client more
than the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select, text

from rebase_db.database.copy import driver
from rebase_db.errors import RebaseError
from rebase_db.schema import SourceRow
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    Keys = NDArray[np.int64]

VECTORS_A_MESSAGE = 4096
ROWS_A_MESSAGE = 65_536
_RUNS_A_FETCH = 16
_HALF = 32


@dataclass(frozen=True, slots=True)
class DatasetCells:
    """The cells of some rows of a dataset, in row order.

    Attributes:
        dataset_id: The dataset.
        text_ids: Shape (texts,): the distinct texts in these cells, ascending.
        row_ids: Shape (rows,), ascending.
        starts: Shape (rows,): where each row's cells begin in the next two.
        column_ids: Shape (cells,).
        places: Shape (cells,): where each cell's text is in `text_ids`.
    """

    dataset_id: int
    text_ids: NDArray[np.int32]
    row_ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    column_ids: NDArray[np.int16]
    places: NDArray[np.int64]


def keys_of(dataset_ids: NDArray[Any] | int, ids: NDArray[Any]) -> Keys:
    """Keys that sort by dataset, then row or text."""
    keys: Keys = (np.asarray(dataset_ids, np.int64) * (1 << _HALF) + ids).astype(np.int64)
    return keys


def datasets_of(keys: Keys) -> NDArray[np.int32]:
    """The dataset ids of keys."""
    return (keys >> _HALF).astype(np.int32)


def ids_of(keys: Keys) -> NDArray[np.int32]:
    """The row or text ids of keys."""
    return (keys & 0xFFFF_FFFF).astype(np.int32)


def read_live(connection: Connection) -> tuple[Keys, Keys]:
    """Keys of the rows that compete, and of those that do no more, both ascending."""
    live: list[Keys] = []
    gone: list[Keys] = []
    with driver(connection).cursor(binary=True) as cursor:
        cursor.execute(named("live_rows"))
        for dataset_id, last_row_id, packed in cursor:
            rows = np.arange(1, last_row_id + 1)
            if packed:
                dead = _integers(packed, ">i4")
                rows = np.delete(rows, dead - 1)
                gone.append(keys_of(dataset_id, dead))
            live.append(keys_of(dataset_id, rows))
    return _join(live), _join(gone)


def read_cells(connection: Connection, rows: Keys) -> Iterator[DatasetCells]:
    """The cells of these rows (ascending), a dataset at a time; those without cells are left out."""
    with driver(connection).cursor("cells", binary=True) as cursor:
        cursor.itersize = _RUNS_A_FETCH
        cursor.execute(named("dataset_cells"), _runs(rows, ROWS_A_MESSAGE))
        for dataset_id, messages in groupby(cursor, key=lambda message: message[0]):
            yield _cells(dataset_id, *(b"".join(parts) for parts in list(zip(*messages, strict=True))[1:]))


def _cells(dataset_id: int, rows: bytes, columns: bytes, texts: bytes) -> DatasetCells:
    row_ids, starts = np.unique(_integers(rows, ">i4"), return_index=True)
    text_ids, places = np.unique(_integers(texts, ">i4"), return_inverse=True)
    return DatasetCells(
        dataset_id,
        text_ids.astype(np.int32),
        row_ids.astype(np.int32),
        starts,
        _integers(columns, ">i2").astype(np.int16),
        places,
    )


def _integers(data: bytes, kind: str) -> NDArray[Any]:
    return np.frombuffer(data, kind)


def read_vectors(connection: Connection, encoder_id: int, texts: Keys) -> Generator[tuple[Keys, NDArray[np.float64]]]:
    """Vectors of these texts (ascending): keys, and vectors of shape (texts, width), some thousand at a time.

    The connection is taken until the generator is exhausted or closed.
    """
    query = _runs(texts, VECTORS_A_MESSAGE) | {"encoder_id": encoder_id}
    # Streamed, not fetched message by message: the server packs the next one while this one is multiplied.
    with driver(connection).cursor() as cursor:
        for dataset_id, text_ids, vectors in cursor.stream(named("dataset_vectors"), query, binary=True):
            yield keys_of(dataset_id, _integers(text_ids, ">i4")), _half_vectors(vectors)


def description_vectors(
    connection: Connection, encoder_id: int, dataset_ids: Sequence[int]
) -> dict[int, NDArray[np.float64]]:
    """The vectors of these datasets' descriptions, by dataset id."""
    query = {"encoder_id": encoder_id, "dataset_ids": list(dataset_ids)}
    rows = connection.execute(text(named("description_vectors")), query)
    return {dataset_id: _half_vectors(vector)[0] for dataset_id, vector in rows}


def _half_vectors(data: bytes) -> NDArray[np.float64]:
    """Vectors as `halfvec_send` writes them: 16-bit width, 16 bits unused, then big-endian half floats."""
    width = int.from_bytes(data[:2], "big")
    record = np.dtype([("dimensions", ">i2"), ("unused", ">i2"), ("vector", ">f2", (width,))])
    vectors: NDArray[np.float64] = np.frombuffer(data, record)["vector"].astype(np.float64)
    return vectors


def _runs(keys: Keys, longest: int) -> dict[str, list[int]]:
    """Runs of consecutive keys: dataset, first and last id of each, none longer than `longest`."""
    breaks = np.flatnonzero(np.diff(keys) != 1) + 1
    starts = np.concatenate([[0], breaks]) if len(keys) else breaks
    lengths = np.diff(np.append(starts, len(keys)))
    parts = -(-lengths // longest)
    # Of each run that is too long, its parts.
    places = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    firsts = np.repeat(starts, parts) + places * longest
    lasts = np.minimum(firsts + longest, np.repeat(starts + lengths, parts)) - 1
    return {
        "dataset_ids": datasets_of(keys[firsts]).tolist(),
        "firsts": ids_of(keys[firsts]).tolist(),
        "lasts": ids_of(keys[lasts]).tolist(),
    }


def _join(parts: Sequence[Keys]) -> Keys:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def retracted_rows(connection: Connection) -> list[tuple[int, int]]:
    """Dataset id and row id of every row that is retracted now."""
    query = select(SourceRow.dataset_id, SourceRow.row_id).where(SourceRow.retracted_at.is_not(None))
    return [(dataset_id, row_id) for dataset_id, row_id in connection.execute(query)]


def require_embedded(connection: Connection, encoder_id: int) -> None:
    """Refuse to rank a corpus that is not embedded throughout.

    Raises:
        RebaseError: How many texts are missing, and what to run.
    """
    missing = connection.execute(text(named("texts_without_vector")), {"encoder_id": encoder_id}).scalar_one()
    if missing:
        raise RebaseError(
            f"{missing} texts of the corpus have no vector under encoder {encoder_id}, so a ranking would miss rows.",
            hint="Run `rebase embed` first, or `rebase run`, which does both.",
        )
