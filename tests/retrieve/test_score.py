"""The best cell of each row, against two loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rebase_db.retrieve import score
from rebase_db.retrieve.corpus import DatasetCells
from rebase_db.retrieve.score import best_cells

if TYPE_CHECKING:
    import pytest


@st.composite
def datasets(draw: st.DrawFn) -> tuple[DatasetCells, np.ndarray]:
    texts = draw(st.integers(1, 8))
    ids = np.array(sorted(draw(st.sets(st.integers(1, 99), min_size=texts, max_size=texts))), np.int32)
    rows = sorted(draw(st.sets(st.integers(1, 40), min_size=1, max_size=10)))
    cells = [
        (row, column, draw(st.integers(0, texts - 1)))
        for row in rows
        for column in sorted(draw(st.sets(st.integers(1, 32767), min_size=1, max_size=5)))
    ]
    queries = draw(st.integers(1, 4))
    values = st.sampled_from([-1, 0, 0.5]) | st.floats(-1, 1, width=32)
    cosines = draw(arrays(np.float32, (texts, queries), elements=values))
    repeated, columns, places = (np.array(part) for part in zip(*cells, strict=True))
    row_ids, starts = np.unique(repeated, return_index=True)
    return DatasetCells(7, ids, row_ids.astype(np.int32), starts, columns.astype(np.int16), places), cosines


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(datasets(), st.sampled_from([1, 2, 5, 131_072]))
def test_any_dataset(
    monkeypatch: pytest.MonkeyPatch, dataset: tuple[DatasetCells, np.ndarray], cells_a_block: int
) -> None:
    cells, cosines = dataset
    monkeypatch.setattr(score, "CELLS_A_BLOCK", cells_a_block)
    scores, columns = best_cells(cells, cosines)
    assert scores.dtype == np.float32
    assert columns.dtype == np.int16
    assert scores.shape == columns.shape == (cosines.shape[1], len(cells.row_ids))
    ends = [*cells.starts[1:], len(cells.places)]
    for query in range(cosines.shape[1]):
        for row, (start, end) in enumerate(zip(cells.starts, ends, strict=True)):
            best, column = -np.inf, -1
            for cell in range(start, end):
                cosine = cosines[cells.places[cell], query]
                if cosine > best:
                    best, column = cosine, cells.column_ids[cell]
            assert scores[query, row] == best
            assert columns[query, row] == column


def test_a_text_without_a_cosine_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "CELLS_A_BLOCK", 1)
    ids = np.array([1, 2], np.int32)
    cells = DatasetCells(1, ids, ids, np.array([0, 2]), np.array([1, 2, 1], np.int16), np.array([0, 1, 0]))
    scores, _ = best_cells(cells, np.array([[0.5], [np.nan]], np.float32))
    assert np.isnan(scores[0, 0])
    assert scores[0, 1] == 0.5
