"""Batches of like length under a token budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def pack(
    lengths: Sequence[int] | NDArray[np.integer], max_tokens_a_batch: int, *, padded: bool = True
) -> list[NDArray[np.intp]]:
    """Group texts by length so that no batch is larger than a budget and hardly any of it is padding.

    The longest come first: the first batch then shows the largest memory need, and workers that share the batches end
    with the smallest ones, so they end together.

    Args:
        lengths: Number of tokens of each text, 0 or more.
        max_tokens_a_batch: Budget, 1 or more. A text longer than the budget is a batch of its own.
        padded: A batch costs rows x longest row, as a rectangle does; if false, the sum of its lengths, as texts laid
            end to end do.

    Returns:
        Index arrays into `lengths`, each of non-increasing length; every index is in exactly one of them.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[NDArray[np.intp]] = []
    first = longest = cost = 0
    for position, index in enumerate(order):
        length = int(lengths[index])
        grown = (position - first + 1) * longest if padded else cost + length
        if position == first or grown > max_tokens_a_batch:
            if position > first:
                batches.append(order[first:position])
            first, longest, cost = position, length, length
        else:
            cost += length
    if len(order):
        batches.append(order[first:])
    return batches
