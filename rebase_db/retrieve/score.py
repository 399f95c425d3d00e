"""Part scores of rows for all waiting tasks at once, in one pass over the vectors of these rows' texts.

Per dataset: cosines of its distinct texts with every query (one matrix product, filled in as the vectors stream by),
spread to its cells, and the best cell of each row taken. A text that stands in a thousand cells is multiplied once.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from rebase_db.errors import RebaseError
from rebase_db.retrieve.corpus import DatasetCells, description_vectors, keys_of, read_cells, read_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from rebase_db.retrieve.corpus import Keys
    from rebase_db.retrieve.query_vectors import QueryVectors

TEXTS_A_GROUP = 65_536
"""Datasets are scored in groups of about this many texts, to spare small ones a round trip each."""
CELLS_A_BLOCK = 131_072
"""Cells whose cosines are spread out at a time: at 31 tasks 32 MB, which bounds memory for a dataset of any size."""


@dataclass(frozen=True, slots=True)
class DatasetScores:
    """Part scores of some of a dataset's rows for T tasks.

    Attributes:
        dataset_id: The dataset.
        row_ids: Shape (rows,), ascending.
        input_scores: Shape (T, rows), the best cosine of any cell with the mean example input.
        output_scores: Shape (T, rows), the same for outputs.
        input_columns: Shape (T, rows), the column of that cell; of equally good ones the first.
        output_columns: Shape (T, rows).
        dataset_scores: Shape (T,), cosine of instruction and description.
    """

    dataset_id: int
    row_ids: NDArray[np.int32]
    input_scores: NDArray[np.float32]
    output_scores: NDArray[np.float32]
    input_columns: NDArray[np.int16]
    output_columns: NDArray[np.int16]
    dataset_scores: NDArray[np.float32]


def score_rows(
    connection: Connection, encoder_id: int, queries: Sequence[QueryVectors], rows: Keys
) -> Iterator[DatasetScores]:
    """Scores of these rows (ascending keys) as far as they have cells, in order of dataset id.

    No vector is read but those of the rows' texts and of their datasets' descriptions.
    """
    sides = np.stack([query.input_mean for query in queries] + [query.output_mean for query in queries])
    # Products of half and single precision are exact in double precision, and so, nearly always, is the float32 their
    # sum is rounded to: a score does not depend on which rows were multiplied with it, and equal texts tie exactly.
    sides = sides.astype(np.float64)
    instructions = np.stack([query.instruction for query in queries]).astype(np.float64)
    for group in _groups(read_cells(connection, rows)):
        descriptions = description_vectors(connection, encoder_id, [cells.dataset_id for cells in group])
        texts = np.concatenate([keys_of(cells.dataset_id, cells.text_ids) for cells in group])
        cosines = np.full((len(texts), len(sides)), np.nan, np.float32)
        with (
            closing(read_vectors(connection, encoder_id, texts)) as messages,
            threadpool_limits(1, user_api="blas"),
        ):
            # One thread keeps up with the server; more would spin between the messages, on its cores.
            for keys, vectors in messages:
                cosines[np.searchsorted(texts, keys)] = vectors @ sides.T
        first = 0
        for cells in group:
            last = first + len(cells.text_ids)
            scores, columns = best_cells(cells, cosines[first:last])
            first = last
            if np.isnan(scores).any() or cells.dataset_id not in descriptions:
                raise RebaseError(
                    f"Dataset {cells.dataset_id} has texts without a vector under encoder {encoder_id}.",
                    hint="Its embed chunks say it is complete, so vectors were removed by hand: embed it again.",
                )
            half = len(queries)
            yield DatasetScores(
                cells.dataset_id,
                cells.row_ids,
                scores[:half],
                scores[half:],
                columns[:half],
                columns[half:],
                (instructions @ descriptions[cells.dataset_id]).astype(np.float32),
            )


def _groups(datasets: Iterable[DatasetCells]) -> Iterator[list[DatasetCells]]:
    group: list[DatasetCells] = []
    for cells in datasets:
        if group and sum(len(member.text_ids) for member in group) + len(cells.text_ids) > TEXTS_A_GROUP:
            yield group
            group = []
        group.append(cells)
    if group:
        yield group


def best_cells(cells: DatasetCells, cosines: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """The best cosine of each row and its column, for every query.

    Args:
        cells: The cells of a dataset.
        cosines: Shape (texts, Q): each distinct text with each query.

    Returns:
        Scores and column ids, both of shape (Q, rows).
    """
    rows, queries = len(cells.row_ids), cosines.shape[1]
    scores = np.empty((queries, rows), np.float32)
    columns = np.empty((queries, rows), np.int16)
    ends = np.append(cells.starts[1:], len(cells.places))
    first = 0
    while first < rows:
        # As many whole rows as fit the block, at least one.
        last = max(first + 1, int(np.searchsorted(ends, cells.starts[first] + CELLS_A_BLOCK, side="right")))
        begin, end = int(cells.starts[first]), int(ends[last - 1])
        block = cosines[cells.places[begin:end]]
        starts = cells.starts[first:last] - begin
        best = np.maximum.reduceat(block, starts, axis=0)
        scores[:, first:last] = best.T
        # Cells are in column order, so the first that reaches the maximum is the winner: of the winners' column ids,
        # with all others out of the way, the smallest.
        lengths = ends[first:last] - cells.starts[first:last]
        ids = cells.column_ids[begin:end, np.newaxis]
        winners = np.where(block == np.repeat(best, lengths, axis=0), ids, np.int16(np.iinfo(np.int16).max))
        columns[:, first:last] = np.minimum.reduceat(winners, starts, axis=0).T
        first = last
    return scores, columns
