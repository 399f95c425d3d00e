"""Scores of predictions against the expected outputs of a benchmark."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_Z_95 = 1.959963984540054  # the standard normal distribution's 97.5 % quantile


def normalise(text: str) -> str:
    """`text` as it is compared: case folded, white space runs made one space, none at the ends.

    Punctuation and accents count: "Neutral." is not "neutral", so that a score never rests on a guess.
    """
    return " ".join(text.split()).casefold()


def same(predicted: str, expected: str) -> bool:
    """Whether two outputs are equal when normalised."""
    return normalise(predicted) == normalise(expected)


def accuracy(predicted: Sequence[str], expected: Sequence[str]) -> float:
    """Share (0 to 1) of positions where the prediction is the `same` as the expected output.

    Raises:
        ValueError: No item, or not as many predictions as expected outputs.
    """
    if not expected:
        raise ValueError("accuracy of no items")
    return sum(same(*pair) for pair in zip(predicted, expected, strict=True)) / len(expected)


def majority_share(expected: Sequence[str]) -> float:
    """The accuracy (0 to 1) of always answering the most frequent expected output: the baseline to beat.

    Raises:
        ValueError: No item.
    """
    if not expected:
        raise ValueError("majority class of no items")
    return max(Counter(map(normalise, expected)).values()) / len(expected)


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % score interval (low, high) of a proportion, shares of 1.

    Unlike the textbook's p ± 1.96·sqrt(p(1-p)/n) it stays within 0 and 1, and does not shrink to nothing at 0 % or
    100 %. Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (158), 1927, pp. 209-212; without continuity correction.

    Raises:
        ValueError: `total` is not positive, or `correct` is not within 0 and `total`.
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"{correct} correct of {total}")
    share = correct / total
    z2 = _Z_95**2 / total
    middle = (share + z2 / 2) / (1 + z2)
    reach = _Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total)) / (1 + z2)
    # At 0 % and 100 % a bound equals the share itself; rounding must not put it on the wrong side.
    return min(max(0.0, middle - reach), share), max(min(1.0, middle + reach), share)
