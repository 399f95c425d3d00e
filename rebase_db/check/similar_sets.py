"""All pairs of sets whose Jaccard index reaches a threshold.

No pair is missed (no MinHash): two sets with an index of at least s share a member among the rarest
`size - ceil(s * size) + 1` members of each. Of the pairs found so, those are dropped whose sketches differ in more
places than the sets may; the rest is counted out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

# Pairs counted out at a time: bounds memory (some 100 members each, 30 bytes a member).
_CHUNK = 1 << 18
# Words of 64 bits in a set's sketch: sets of some hundred members collide little in 512.
_SKETCH = 8


@dataclass(frozen=True, slots=True)
class _Sets:
    """Sets of members, one after the other: set i is `members[starts[i]:starts[i + 1]]`, rarest member first.

    Members are numbered by how often they occur, rarest first.
    """

    members: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.diff(self.starts)


def _number(sets: Sequence[NDArray[np.uint64]]) -> _Sets:
    sizes = np.fromiter((len(one) for one in sets), dtype=np.int64, count=len(sets))
    starts = np.concatenate(([0], np.cumsum(sizes)))
    _, numbers, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    by_rarity = np.empty(len(counts), dtype=np.int64)
    by_rarity[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    members = by_rarity[numbers]
    owners = np.repeat(np.arange(len(sets)), sizes)
    return _Sets(members[np.lexsort((members, owners))], starts)


def _sketch(sets: _Sets) -> NDArray[np.uint64]:
    """For each set the parity of its members in each of 512 places, shape (sets, 8).

    Sketches of two sets differ in no more places than the sets have members that are not common to both.
    """
    mixed = sets.members.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bit = np.uint64(1) << (mixed >> np.uint64(58))
    word = (mixed >> np.uint64(52)) % np.uint64(_SKETCH)
    sketch = np.empty((len(sets.sizes), _SKETCH), dtype=np.uint64)
    for number in range(_SKETCH):
        own = np.where(word == np.uint64(number), bit, np.uint64(0))
        sketch[:, number] = np.bitwise_xor.reduceat(own, sets.starts[:-1])
    return sketch


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """All places `start … start + length - 1`, one range after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    shifts: NDArray[np.int64] = np.repeat(starts - (ends - lengths), lengths)
    return np.arange(total, dtype=np.int64) + shifts


def _candidates(sets: _Sets, similarity: float) -> Iterator[Pairs]:
    """Pairs that may be alike; a pair may come more than once."""
    sizes = sets.sizes
    # A hair less than asked for, so that rounding loses no pair that lies on the line.
    prefix = np.minimum(sizes, sizes - np.ceil(similarity * sizes - 1e-9).astype(np.int64) + 1)
    owners = np.repeat(np.arange(len(sizes)), prefix)
    members = sets.members[_ranges(sets.starts[:-1], prefix)]
    # Within a member by size: partners of a set then lie in one window, from its own size up to size / similarity.
    order = np.lexsort((owners, sizes[owners], members))
    members, owners = members[order], owners[order]
    scale = int(sizes.max()) + 2
    keys = members * scale + sizes[owners]
    reach = np.minimum(np.floor(sizes[owners] / similarity + 1e-9).astype(np.int64), scale - 1)
    ends = np.searchsorted(keys, members * scale + reach, side="right")
    lengths = ends - np.arange(len(owners)) - 1
    sketch = _sketch(sets)
    apart = (1 - similarity) / (1 + similarity) + 1e-9
    done = 0
    running = np.cumsum(lengths)
    while done < len(owners):
        base = int(running[done - 1]) if done else 0
        stop = max(done + 1, int(np.searchsorted(running, base + _CHUNK, side="right")))
        span = lengths[done:stop]
        left = np.repeat(owners[done:stop], span)
        right = owners[_ranges(np.arange(done, stop) + 1, span)]
        differing = np.bitwise_count(sketch[left] ^ sketch[right]).sum(axis=1, dtype=np.int64)
        wanted = np.flatnonzero(differing <= apart * (sizes[left] + sizes[right]))
        if len(wanted):
            pair = np.unique(left[wanted] * len(sizes) + right[wanted])
            yield pair // len(sizes), pair % len(sizes)
        done = stop


def _shared(sets: _Sets, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many members each pair has in common."""
    sizes = sets.sizes
    scale = int(sets.members.max()) + 1
    sorted_keys = np.repeat(np.arange(len(sizes)), sizes) * scale + sets.members
    wanted = np.repeat(right, sizes[left]) * scale + sets.members[_ranges(sets.starts[:-1][left], sizes[left])]
    places = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    hits = sorted_keys[places] == wanted
    pair_of = np.repeat(np.arange(len(left)), sizes[left])
    return np.bincount(pair_of[hits], minlength=len(left))


def similar_pairs(sets: Sequence[NDArray[np.uint64]], similarity: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of places with their Jaccard index, where that is at least `similarity`.

    Args:
        sets: Different from each other, none empty, each without repeats.
        similarity: Above 0, at most 1.

    Yields:
        Each pair once or more than once, in no particular order.
    """
    if not sets:
        return
    numbered = _number(sets)
    sizes = numbered.sizes
    for left, right in _candidates(numbered, similarity):
        shared = _shared(numbered, left, right)
        scores = shared / (sizes[left] + sizes[right] - shared)
        alike = scores >= similarity
        yield from zip(left[alike].tolist(), right[alike].tolist(), scores[alike].tolist(), strict=True)
