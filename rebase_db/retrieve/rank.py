"""From part scores to a ranking: the scorings of the method, ties, exclusions and mirrors. Pure arithmetic."""

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


def rank_rows(rows: Candidates, *, top_n: int, scoring: str, excluded: AbstractSet[int], drop_mirrors: bool) -> Ranking:
    """Rank all rows but those of excluded datasets and keep the best `top_n`.

    `average-score` is the mean of the three part scores (method, step 2). `average-rank` and `max-rank` rank rows by
    input score and by output score, equal scores sharing the better rank, and take the mean or the worse of the two; as
    in the authors' code the dataset score has no part in them. Ties go to the better average score, then to the lower
    dataset and row id, so a ranking is the same whatever order the rows were scored in.

    With `drop_mirrors`, of rows with equal content only the best ranked stays in.
    """
    pool = np.flatnonzero(~np.isin(rows.dataset_ids, list(excluded))) if excluded else np.arange(len(rows.row_ids))
    average = (rows.input_scores[pool].astype(np.float64) + rows.output_scores[pool] + rows.dataset_scores[pool]) / 3
    if scoring == "average-score":
        score, order_by = average, -average
    else:
        ranks = np.stack([_ranks(rows.input_scores[pool]), _ranks(rows.output_scores[pool])]).astype(np.float64)
        score = ranks.mean(axis=0) if scoring == "average-rank" else ranks.max(axis=0)
        order_by = score
    groups = rows.mirror_groups[pool] if drop_mirrors else None
    # Enough of the best to fill the cut even if everything that repeats falls out.
    spare = 0 if groups is None else int(np.count_nonzero(groups))
    best = _best(order_by, top_n + spare)
    # Candidates come in id order and lexsort is stable, so ids break what ties are left.
    best = best[np.lexsort((-average[best], order_by[best]))]
    kept, mirrors = (best, np.empty((0, 2), np.int64)) if groups is None else _drop_mirrors(best, groups[best], top_n)
    kept = kept[:top_n]
    return Ranking(pool[kept], score[kept], pool[mirrors])


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


def _drop_mirrors(
    best: NDArray[np.int64], groups: NDArray[np.int64], top_n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep the first row of every group; also (passed over, kept) for the others met on the way to `top_n` rows."""
    order = np.arange(len(best))
    grouped = order[groups != NO_MIRROR]
    _, first, inverse = np.unique(groups[grouped], return_index=True, return_inverse=True)
    kept_of = grouped[first][inverse]
    repeats = grouped != kept_of
    keep = np.ones(len(best), bool)
    keep[grouped[repeats]] = False
    kept = np.flatnonzero(keep)
    if len(kept) >= top_n:
        repeats &= grouped < kept[top_n - 1]
    return best[kept], np.stack([best[grouped[repeats]], best[kept_of[repeats]]], axis=1)
