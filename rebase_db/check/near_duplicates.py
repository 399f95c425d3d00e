"""Examples of one task whose inputs are nearly the same; see `duplicates` for who fails and in what order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rebase_db.check.define import excerpt
from rebase_db.check.normal import shingles, words
from rebase_db.check.similar_sets import similar_pairs
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


def find_near_duplicates(known: Iterable[Ranked], new: Iterable[Ranked], similarity: float) -> dict[int, Finding]:
    """Inputs whose word triples have a Jaccard index of at least `similarity` (0 < similarity <= 1).

    Returns:
        A finding for each new example, and for each known one that is like a better-ranked new one, by example id.
        Score: the index with the likest better-ranked example, 0 where none reaches `similarity`. A known example may
        have failed before, on another; the higher score is the one to keep.
    """
    new = list(new)
    arrived = frozenset(example.example_id for example in new)
    groups: dict[bytes, list[Ranked]] = {}
    distinct: dict[bytes, NDArray[np.uint64]] = {}
    for example in sorted([*known, *new], key=lambda one: one.place):
        members = shingles(words(example.input))
        if len(members):
            groups.setdefault(members.tobytes(), []).append(example)
            distinct.setdefault(members.tobytes(), members)
    best = _Best()
    _within(list(groups.values()), arrived, best)
    _between(list(groups.values()), list(distinct.values()), arrived, similarity, best)
    findings = {example.example_id: Finding(failed=False, score=0.0) for example in new}
    for example_id, (score, other) in best.found.items():
        evidence = {"similarity": round(score, 4), "text": excerpt(other.input)}
        findings[example_id] = Finding(failed=True, score=score, evidence=evidence, other_example_id=other.example_id)
    return findings


def _within(groups: Iterable[Sequence[Ranked]], arrived: frozenset[int], best: _Best) -> None:
    """Examples with the very same triples, each group best first."""
    for group in groups:
        first_new = next((one for one in group if one.example_id in arrived), None)
        if first_new is None:
            continue
        for example in group[1:]:
            if example.example_id in arrived:
                best.offer(example, group[0], 1.0)
            elif first_new.place < example.place:
                best.offer(example, first_new, 1.0)


def _between(
    groups: Sequence[Sequence[Ranked]],
    sets: Sequence[NDArray[np.uint64]],
    arrived: frozenset[int],
    similarity: float,
    best: _Best,
) -> None:
    """Examples with like triples, groups of the same triples taken as one: a group's first speaks for all of it.

    The others of a group fail on its first already, with the highest score there is.
    """
    first = [group[0] for group in groups]
    first_new = [next((one for one in group if one.example_id in arrived), None) for group in groups]
    is_new = np.array([one is not None for one in first_new])
    for one, two, score in similar_pairs(sets, similarity, is_new):
        for mine, theirs in ((one, two), (two, one)):
            example = first[mine]
            other = first[theirs] if example.example_id in arrived else first_new[theirs]
            if other is not None and other.place < example.place:
                best.offer(example, other, score)
