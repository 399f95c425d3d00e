from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebase_db.evaluate.metrics import accuracy, majority_share, normalise, same, wilson_interval


def test_case_and_white_space_do_not_count_but_punctuation_does() -> None:
    assert same(" Neutral\n", "neutral")
    assert same("New\t  York", "new york")
    assert same("STRASSE", "straße")
    assert not same("Neutral.", "Neutral")
    assert not same("newyork", "new york")


def test_accuracy_is_the_share_of_equal_positions() -> None:
    assert accuracy(["a", "B", "c", "x"], ["A", "b", "d", "y"]) == 0.5
    assert accuracy(["b", "a"], ["a", "b"]) == 0.0


def test_accuracy_refuses_lists_of_different_length_and_no_items() -> None:
    with pytest.raises(ValueError, match="longer than argument 1"):
        accuracy(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="no items"):
        accuracy([], [])


def test_majority_counts_outputs_that_are_the_same() -> None:
    assert majority_share(["yes", "Yes ", "no", "maybe", "YES"]) == 0.6
    with pytest.raises(ValueError, match="no items"):
        majority_share([])


# The score method's column in table I of R. G. Newcombe, "Two-sided confidence intervals for the single proportion",
# Statistics in Medicine 17 (1998), and two that a pencil can do: high = (z²/n) / (1 + z²/n) and low = 1 / (1 + z²).
@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 10, 0.0, 0.3841459 / 1.3841459),
        (1, 1, 1 / 4.841459, 1.0),
    ],
)
def test_wilson_interval_has_its_known_values(correct: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_interval_holds_the_share_and_mirrors(case: tuple[int, int]) -> None:
    correct, total = case
    low, high = wilson_interval(correct, total)
    assert 0 <= low <= correct / total <= high <= 1
    assert low < high
    assert wilson_interval(total - correct, total) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("correct", "total"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_interval_refuses_impossible_counts(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match="correct of"):
        wilson_interval(correct, total)


def test_normalising_twice_changes_nothing() -> None:
    text = "  Ein\u00a0 STRASSENNAME\n"
    assert normalise(normalise(text)) == normalise(text) == "ein strassenname"
