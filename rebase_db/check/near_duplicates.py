"""Examples of one task whose inputs are nearly the same; see `duplicates` for who fails and in what order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.check.define import excerpt
from rebase_db.check.normal import shingles, words
from rebase_db.check.similar_sets import similar_pairs
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from rebase_db.check.duplicates import Ranked


class _Best:
    """The likest better-ranked other of each example so far."""

    def __init__(self) -> None:
        self.found: dict[int, tuple[float, Ranked]] = {}

    def offer(self, example: Ranked, other: Ranked, score: float) -> None:
        """Keep `other` if it is liker than what is kept, or as like and better ranked."""
        kept = self.found.get(example.example_id)
        if kept is None or (-score, other.place) < (-kept[0], kept[1].place):
            self.found[example.example_id] = (score, other)


def find_near_duplicates(examples: Iterable[Ranked], similarity: float) -> dict[int, Finding]:
    """Inputs whose word triples have a Jaccard index of at least `similarity` (0 < similarity <= 1).

    Returns:
        A finding for each example, by its id. Score: the index with the likest better-ranked example, 0 where none
        reaches `similarity`.
    """
    findings: dict[int, Finding] = {}
    groups: dict[bytes, list[Ranked]] = {}
    distinct: dict[bytes, NDArray[np.uint64]] = {}
    for example in sorted(examples, key=lambda one: one.place):
        findings[example.example_id] = Finding(failed=False, score=0.0)
        members = shingles(words(example.input))
        if len(members):
            groups.setdefault(members.tobytes(), []).append(example)
            distinct.setdefault(members.tobytes(), members)
    best = _Best()
    # Groups of the same triples are taken as one, whose first speaks for all: the others of it fail on that first
    # already, with the highest score there is.
    firsts = [group[0] for group in groups.values()]
    for group in groups.values():
        for example in group[1:]:
            best.offer(example, group[0], 1.0)
    for one, two, score in similar_pairs(list(distinct.values()), similarity):
        better, worse = sorted((firsts[one], firsts[two]), key=lambda example: example.place)
        best.offer(worse, better, score)
    for example_id, (score, other) in best.found.items():
        evidence = {"similarity": round(score, 4), "text": excerpt(other.input)}
        findings[example_id] = Finding(failed=True, score=score, evidence=evidence, other_example_id=other.example_id)
    return findings
