"""Which row each output was made from, by its text alone: for outputs in no known order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rebase_db.audit.align import KEPT, LEAST, MOST_CONFIDENT, Candidate
from rebase_db.audit.evidence import Evidence
from rebase_db.hashing import text_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# A word that is shared comes with its two pairs, and words come in phrases: about a third of the weight is news.
_NEWS = 0.3
# How often what a row shares with other outputs is taken off.
_USUAL = 2.0
# The least share of a half's best row, for it to be compared with the other's.
_SAYS_SOMETHING = 0.1
# Outputs whose halves agree or not, before any is seen.
_AGREED, _COMPARED = 2.0, 3.0


def by_text(evidence: Evidence) -> list[list[Candidate]]:
    """For each output the rows its text points to, the likeliest first.

    A row's probability is its share among all rows and none, times the trust that text deserves here: how often the two
    halves of the vocabulary, taken apart, point to the same row.
    """
    trust = _trust(evidence)
    found: list[list[Candidate]] = []
    for sums in _own_sums(evidence):
        shares = _shares(sums)
        best = np.argsort(-shares, kind="stable")[:KEPT]
        found.append(
            [
                Candidate(int(row), min(MOST_CONFIDENT, trust * float(shares[row])), float(shares[row]), 0.0)
                for row in best
                if sums[row] > 0 and trust * shares[row] >= LEAST
            ]
        )
    return found


def _own_sums(evidence: Evidence) -> Iterator[NDArray[np.float32]]:
    """For each output the weight of what it shares with each row, beyond what other outputs share with the row."""
    total = np.zeros(len(evidence.rows), dtype=np.float64)
    for sums in evidence.sums():
        total += sums
    # A row that holds half a file has words of every output.
    for sums in evidence.sums():
        others = (total - sums) / max(1, len(evidence.outputs) - 1)
        yield np.maximum(0, sums - _USUAL * others).astype(np.float32)


def _shares(sums: NDArray[np.float32]) -> NDArray[np.float64]:
    """How likely each row is; what is left is the probability of none of them, which before any text is one half."""
    weights = np.exp(np.minimum(_NEWS * sums.astype(np.float64), 200))
    return np.asarray(weights / (weights.sum() + len(sums)), dtype=np.float64)


def _trust(evidence: Evidence) -> float:
    halves = [
        Evidence(
            [frozenset(feature for feature in output if _half(feature) == half) for output in evidence.outputs],
            evidence.rows,
            {feature: weight for feature, weight in evidence.weights.items() if _half(feature) == half},
        )
        for half in (0, 1)
    ]
    agreed, compared = _AGREED, _COMPARED
    contents = evidence.contents()
    for one, other in zip(_own_sums(halves[0]), _own_sums(halves[1]), strict=True):
        first, second = _shares(one), _shares(other)
        if min(first.max(), second.max()) >= _SAYS_SOMETHING:
            compared += 1
            agreed += contents[int(first.argmax())] == contents[int(second.argmax())]
    return agreed / compared


def _half(feature: str) -> int:
    # By its first word, so that a pair of words lies on the side of one of them.
    return text_hash(feature.split(maxsplit=1)[0])[0] & 1
