"""From part scores to a ranking: the scorings of the method, weights, ties, exclusions, mirrors and caps on datasets.

Pure arithmetic. `lineage.what_if` does the same in SQL, to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

NO_MIRROR = 0


@dataclass(frozen=True, slots=True)
class Candidates:
    """All scored rows for one task, as parallel arrays ordered by (dataset id, row id).

    `mirror_groups` gives rows of equal content the same positive number and all others 0.
    """

    dataset_ids: NDArray[np.int32]
    row_ids: NDArray[np.int32]
    input_scores: NDArray[np.float32]
    output_scores: NDArray[np.float32]
    input_columns: NDArray[np.int16]
    output_columns: NDArray[np.int16]
    dataset_scores: NDArray[np.float32]
    mirror_groups: NDArray[np.int64]

    def without(self, rows: Collection[tuple[int, int]]) -> Candidates:
        """The candidates but for those of `rows`, each a dataset id and a row id."""
        keys = self.dataset_ids.astype(np.int64) << 32 | self.row_ids
        gone = np.array([dataset_id << 32 | row_id for dataset_id, row_id in rows], np.int64)
        kept = ~np.isin(keys, gone)
        return Candidates(*(getattr(self, field.name)[kept] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Ranking:
    """The rows that made the cut, best first, as positions in the candidates.

    Attributes:
        chosen: Shape (n,), n <= top N.
        scores: Shape (n,): by the scoring; higher is better for `average-score`, lower for the rank-based ones.
        mirrors: Shape (m, 2): position of a row left out although it ranks above the last one chosen, and the position
            of the chosen row it repeats.
    """

    chosen: NDArray[np.int64]
    scores: NDArray[np.float64]
    mirrors: NDArray[np.int64]


Weights = tuple[float, float, float]
"""Of the input, the output and the dataset score; not all zero."""

AVERAGE_SCORE = "average-score"
_ALMOST = 1e-9


def rank_rows(
    rows: Candidates,
    *,
    top_n: int,
    scoring: str,
    excluded: AbstractSet[int],
    drop_mirrors: bool,
    weights: Weights | None = None,
    max_share: float | None = None,
) -> Ranking:
    """Rank all rows but those of excluded datasets and keep the best `top_n`.

    `average-score` is the mean of the three part scores (method, step 2), with `weights` their weighted mean.
    `average-rank` and `max-rank` rank rows by input score and by output score, equal scores sharing the better rank,
    and take the mean or the worse of the two; as in the authors' code the dataset score has no part in them, and nor
    have weights. Ties go to the better mean of the three part scores, then to the lower dataset and row id, so a
    ranking is the same whatever order the rows were scored in.

    With `drop_mirrors`, of rows with equal content only the best ranked stays in. With `max_share`, of what is left
    then only the `most_of_one` best of each dataset stay in, and others move up; where they are too few, the ranking
    has fewer than `top_n` rows.
    """
    pool = np.flatnonzero(~np.isin(rows.dataset_ids, list(excluded))) if excluded else np.arange(len(rows.row_ids))
    inputs, outputs = rows.input_scores[pool].astype(np.float64), rows.output_scores[pool].astype(np.float64)
    datasets = rows.dataset_scores[pool].astype(np.float64)
    average = (inputs + outputs + datasets) / 3
    if scoring == AVERAGE_SCORE:
        score = average if weights is None else _weighted(weights, inputs, outputs, datasets)
        order_by = -score
    else:
        ranks = np.stack([_ranks(rows.input_scores[pool]), _ranks(rows.output_scores[pool])]).astype(np.float64)
        score = ranks.mean(axis=0) if scoring == "average-rank" else ranks.max(axis=0)
        order_by = score
    groups = rows.mirror_groups[pool] if drop_mirrors else np.full(len(pool), NO_MIRROR)
    # Enough of the best to fill the cut even if everything that repeats falls out; with a cap any may be wanted.
    enough = top_n + int(np.count_nonzero(groups)) if max_share is None else len(pool)
    best = _best(order_by, enough)
    # Candidates come in id order and lexsort is stable, so ids break what ties are left.
    best = best[np.lexsort((-average[best], order_by[best]))]
    repeats, firsts = _repeats(groups[best])
    stays = np.ones(len(best), bool)
    stays[repeats] = False
    if max_share is not None:
        left = np.flatnonzero(stays)
        stays[left] = _places_within(rows.dataset_ids[pool][best[left]]) < most_of_one(max_share, top_n)
    chosen = np.flatnonzero(stays)[:top_n]
    # Of the mirrors those that are passed over on the way down, for a row that has its place.
    last = chosen[-1] if len(chosen) == top_n else len(best)
    passed = (repeats < last) & np.isin(firsts, chosen)
    mirrors = np.stack([best[repeats[passed]], best[firsts[passed]]], axis=1)
    kept = best[chosen]
    return Ranking(pool[kept], score[kept], pool[mirrors])


def most_of_one(max_share: float, top_n: int) -> int:
    """How many rows of a ranking one dataset may have: the share of `top_n`, rounded down, but at least one."""
    # 0.29 of 100 is 28.999999999999996 in floating point.
    return max(1, int(max_share * top_n + _ALMOST))


def _weighted(
    weights: Weights, inputs: NDArray[np.float64], outputs: NDArray[np.float64], datasets: NDArray[np.float64]
) -> NDArray[np.float64]:
    of_input, of_output, of_dataset = weights
    # In this order everywhere: the sums of three doubles depend on it.
    return (of_input * inputs + of_output * outputs + of_dataset * datasets) / (of_input + of_output + of_dataset)


def _places_within(dataset_ids: NDArray[np.int32]) -> NDArray[np.int64]:
    """Of each element how many equal ones come before it."""
    order = np.argsort(dataset_ids, kind="stable")
    _, starts, counts = np.unique(dataset_ids[order], return_index=True, return_counts=True)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) - np.repeat(starts, counts)
    return places


def _ranks(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """1 + the number of strictly better scores."""
    ascending = np.sort(scores)
    return len(scores) - np.searchsorted(ascending, scores, side="right") + 1


def _best(order_by: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Positions, ascending, of at least the `count` smallest values, with all that tie with the last of them."""
    if count >= len(order_by):
        return np.arange(len(order_by))
    limit = np.partition(order_by, count - 1)[count - 1]
    return np.flatnonzero(order_by <= limit)


def _repeats(groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of those that are not the first of their group, and of the first of each one's group."""
    grouped = np.flatnonzero(groups != NO_MIRROR)
    _, first, inverse = np.unique(groups[grouped], return_index=True, return_inverse=True)
    first_of = grouped[first][inverse]
    repeats = grouped != first_of
    return grouped[repeats], first_of[repeats]
