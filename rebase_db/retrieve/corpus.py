"""Reading what retrieval needs of the corpus: per dataset its cells as integer arrays, its vectors as a stream.

The server packs: one message per dataset's cells and one per few thousand vectors, instead of one per row, since a
message a row costs the client more than the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select, text

from rebase_db.database.copy import driver
from rebase_db.errors import RebaseError
from rebase_db.schema import SourceRow
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray
    from sqlalchemy import Connection

VECTORS_A_MESSAGE = 4096
_DATASETS_A_FETCH = 16


@dataclass(frozen=True, slots=True)
class DatasetCells:
    """The cells of one dataset's live rows, in row order.

    Attributes:
        dataset_id: The dataset.
        texts: Number of its texts; text ids count from 1 to this.
        row_ids: Shape (rows,), ascending.
        starts: Shape (rows,): where each row's cells begin in the next two.
        column_ids: Shape (cells,).
        text_ids: Shape (cells,).
    """

    dataset_id: int
    texts: int
    row_ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    column_ids: NDArray[np.int16]
    text_ids: NDArray[np.int32]


def read_cells(connection: Connection) -> Iterator[DatasetCells]:
    """The cells of every dataset with live rows, a dataset at a time, in order of dataset id."""
    with driver(connection).cursor("cells", binary=True) as cursor:
        cursor.itersize = _DATASETS_A_FETCH
        cursor.execute(named("dataset_cells"))
        for dataset_id, texts, rows, columns, text_ids in cursor:
            repeated = _integers(rows, ">i4")
            row_ids, starts = np.unique(repeated, return_index=True)
            yield DatasetCells(
                dataset_id,
                texts,
                row_ids.astype(np.int32),
                starts,
                _integers(columns, ">i2").astype(np.int16),
                _integers(text_ids, ">i4").astype(np.int32),
            )


def _integers(data: bytes, kind: str) -> NDArray[Any]:
    return np.frombuffer(data, kind)


def read_vectors(
    connection: Connection, encoder_id: int, first_dataset_id: int, last_dataset_id: int
) -> Generator[tuple[int, NDArray[np.int32], NDArray[np.float64]]]:
    """Vectors of a range of datasets: dataset id, text ids, vectors of shape (texts, width), some thousand at a time.

    In no particular order. The connection is taken until the generator is exhausted or closed.
    """
    query = {
        "encoder_id": encoder_id,
        "first": first_dataset_id,
        "last": last_dataset_id,
        "vectors_a_message": VECTORS_A_MESSAGE,
    }
    # Streamed, not fetched message by message: the server packs the next one while this one is multiplied.
    with driver(connection).cursor() as cursor:
        for dataset_id, text_ids, vectors in cursor.stream(named("dataset_vectors"), query, binary=True):
            yield dataset_id, _integers(text_ids, ">i4").astype(np.int32), _half_vectors(vectors)


def description_vectors(connection: Connection, encoder_id: int) -> dict[int, NDArray[np.float64]]:
    """The vector of every dataset's description, by dataset id."""
    rows = connection.execute(text(named("description_vectors")), {"encoder_id": encoder_id})
    return {dataset_id: _half_vectors(vector)[0] for dataset_id, vector in rows}


def _half_vectors(data: bytes) -> NDArray[np.float64]:
    """Vectors as `halfvec_send` writes them: 16-bit width, 16 bits unused, then big-endian half floats."""
    width = int.from_bytes(data[:2], "big")
    record = np.dtype([("dimensions", ">i2"), ("unused", ">i2"), ("vector", ">f2", (width,))])
    vectors: NDArray[np.float64] = np.frombuffer(data, record)["vector"].astype(np.float64)
    return vectors


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
