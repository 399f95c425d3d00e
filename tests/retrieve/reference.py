"""Retrieval as the method states it, row by row and cell by cell, from plain SELECTs and in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from tests.load.sources import fetch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Engine

    Vector = NDArray[np.float64]


@dataclass(frozen=True)
class ScoredRow:
    """A row with its part scores and the columns of its best cells; `content` is equal where rows are mirrors."""

    dataset_id: int
    row_id: int
    input_score: float
    output_score: float
    dataset_score: float
    input_column: int
    output_column: int
    content: object

    @property
    def key(self) -> tuple[int, int]:
        return self.dataset_id, self.row_id

    @property
    def average(self) -> float:
        return (self.input_score + self.output_score + self.dataset_score) / 3

    def weighted(self, weights: tuple[float, float, float]) -> float:
        parts = (self.input_score, self.output_score, self.dataset_score)
        first, second, third = (weight * part for weight, part in zip(weights, parts, strict=True))
        return (first + second + third) / (weights[0] + weights[1] + weights[2])


@dataclass(frozen=True)
class Ranked:
    """The rows that made the cut with their scores, and (left out, chosen) pairs of equal rows."""

    chosen: list[tuple[ScoredRow, float]]
    mirrors: list[tuple[ScoredRow, ScoredRow]]


def rank(
    rows: Sequence[ScoredRow],
    *,
    top_n: int,
    scoring: str,
    excluded: Collection[int],
    drop_mirrors: bool,
    weights: tuple[float, float, float] | None = None,
    max_share: float | None = None,
) -> Ranked:
    """Sort all rows by score, average score and ids, and walk down until `top_n` are chosen.

    A row that repeats one above it is passed over, also where that one found its dataset full.
    """
    most = top_n if max_share is None else max(1, math.floor(Fraction(str(max_share)) * top_n))
    pool = [row for row in rows if row.dataset_id not in excluded]
    score: dict[tuple[int, int], float] = {}
    for row in pool:
        by_input = 1 + sum(other.input_score > row.input_score for other in pool)
        by_output = 1 + sum(other.output_score > row.output_score for other in pool)
        score[row.key] = {
            "average-score": row.average if weights is None else row.weighted(weights),
            "average-rank": (by_input + by_output) / 2,
            "max-rank": float(max(by_input, by_output)),
        }[scoring]
    higher_is_better = -1 if scoring == "average-score" else 1
    chosen: list[tuple[ScoredRow, float]] = []
    mirrors: list[tuple[ScoredRow, ScoredRow]] = []
    by_content: dict[object, ScoredRow] = {}
    taken: Counter[int] = Counter()
    for row in sorted(pool, key=lambda row: (higher_is_better * score[row.key], -row.average, row.key)):
        if len(chosen) == top_n:
            break
        if drop_mirrors and row.content in by_content:
            mirrors.append((row, by_content[row.content]))
            continue
        by_content[row.content] = row
        if taken[row.dataset_id] < most:
            taken[row.dataset_id] += 1
            chosen.append((row, score[row.key]))
    # What repeats a row that has no place itself is no mirror of the ranking.
    kept = {row.key for row, _ in chosen}
    return Ranked(chosen, [(row, of) for row, of in mirrors if of.key in kept])


_CELLS = """
SELECT cell.dataset_id, row_id, column_id, content_hash, vector::real[]
FROM cell
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN embedding USING (dataset_id, text_id)
WHERE retracted_at IS NULL AND removed_at IS NULL AND encoder_id = :encoder
ORDER BY 1, 2, 3
"""
_DESCRIPTIONS = """
SELECT dataset.dataset_id, vector::real[]
FROM dataset
INNER JOIN embedding ON embedding.dataset_id = dataset.dataset_id AND text_id = description_text_id
WHERE encoder_id = :encoder
"""


def score(
    engine: Engine, encoder_id: int, examples: Sequence[tuple[Vector, Vector]], instruction: Vector
) -> list[ScoredRow]:
    """Score every live row that has cells: the best over its cells of the mean over the examples of the cosine."""
    descriptions = {key: np.array(vector) for key, vector in fetch(engine, _DESCRIPTIONS, encoder=encoder_id)}
    cells: dict[tuple[int, int], list[tuple[int, Vector]]] = {}
    contents: dict[tuple[int, int], bytes] = {}
    for dataset_id, row_id, column_id, content_hash, vector in fetch(engine, _CELLS, encoder=encoder_id):
        cells.setdefault((dataset_id, row_id), []).append((column_id, np.array(vector)))
        contents[dataset_id, row_id] = bytes(content_hash)
    rows = []
    for (dataset_id, row_id), of_row in cells.items():
        best: list[tuple[float, int]] = []
        for side in (0, 1):
            means = [(sum(float(e[side] @ cell) for e in examples) / len(examples), column) for column, cell in of_row]
            best.append(max(means, key=lambda found: found[0]))  # the first of equals
        (input_score, input_column), (output_score, output_column) = best
        rows.append(
            ScoredRow(
                dataset_id,
                row_id,
                input_score,
                output_score,
                float(instruction @ descriptions[dataset_id]),
                input_column,
                output_column,
                contents[dataset_id, row_id],
            )
        )
    return rows
