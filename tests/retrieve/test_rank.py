"""Ranking against the obvious implementation, on scores full of ties."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rebase_db.retrieve.rank import Candidates, rank_rows
from tests.retrieve import reference
from tests.retrieve.reference import ScoredRow

if TYPE_CHECKING:
    from collections.abc import Sequence

SCORINGS = ("average-score", "average-rank", "max-rank")

# Few values, so that most rows tie; and any float32, for what rounding may do.
few = st.sampled_from([-0.5, 0.0, 0.25, 0.5])
scores = few | st.floats(-1, 1, width=32)


@st.composite
def corpora(draw: st.DrawFn) -> list[ScoredRow]:
    rows: list[ScoredRow] = []
    kind = few if draw(st.booleans()) else scores
    for dataset_id in sorted(draw(st.sets(st.integers(1, 9), max_size=4))):
        described = draw(kind)
        for row_id in sorted(draw(st.sets(st.integers(1, 50), max_size=12))):
            content = draw(st.sampled_from([1, 2, 3]) | st.none())
            own = (dataset_id, row_id) if content is None else content
            rows.append(ScoredRow(dataset_id, row_id, draw(kind), draw(kind), described, 1, 1, own))
    return rows


def candidates(rows: Sequence[ScoredRow]) -> Candidates:
    contents = [row.content for row in rows]
    groups = [content if isinstance(content, int) and contents.count(content) > 1 else 0 for content in contents]
    return Candidates(
        np.array([row.dataset_id for row in rows], np.int32),
        np.array([row.row_id for row in rows], np.int32),
        np.array([row.input_score for row in rows], np.float32),
        np.array([row.output_score for row in rows], np.float32),
        np.ones(len(rows), np.int16),
        np.ones(len(rows), np.int16),
        np.array([row.dataset_score for row in rows], np.float32),
        np.array(groups, np.int64),
    )


# Shares whose products with whole numbers are whole in decimals and not in floating point among them.
shares = st.sampled_from([0.07, 0.1, 0.14, 0.2, 0.28, 0.29, 0.3, 0.5, 0.57, 0.58, 0.9, 0.99])
weight = st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0]) | st.floats(0.001, 1000)
weights = st.tuples(weight, weight, weight).filter(any)


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    """Whatever a ranking may be asked for."""
    scoring = draw(st.sampled_from(SCORINGS))
    return {
        "top_n": draw(st.integers(1, 60) | st.sampled_from([100])),
        "scoring": scoring,
        "excluded": draw(st.sets(st.integers(1, 9), max_size=3)),
        "drop_mirrors": draw(st.booleans()),
        "weights": draw(st.none() | weights) if scoring == "average-score" else None,
        "max_share": draw(st.none() | shares),
    }


@settings(max_examples=1000, deadline=None)
@given(corpora(), options())
def test_any_corpus(rows: list[ScoredRow], asked: dict[str, Any]) -> None:
    expected = reference.rank(rows, **asked)
    found = rank_rows(candidates(rows), **asked)
    assert [rows[place].key for place in found.chosen] == [row.key for row, _ in expected.chosen]
    assert found.scores.tolist() == [score for _, score in expected.chosen]
    pairs = sorted((rows[left].key, rows[kept].key) for left, kept in found.mirrors)
    assert pairs == sorted((left.key, kept.key) for left, kept in expected.mirrors)


def rows_of(*scores: tuple[int, int, float, float, float]) -> Candidates:
    return candidates([ScoredRow(d, r, i, o, s, 1, 1, (d, r)) for d, r, i, o, s in scores])


def test_average_score_is_the_mean_of_the_three_parts() -> None:
    found = rank_rows(
        rows_of((1, 1, 0.5, 0.25, 0.75), (2, 1, 1.0, -0.5, 0.25)),
        top_n=9, scoring="average-score", excluded=set(), drop_mirrors=False,
    )  # fmt: skip
    assert found.chosen.tolist() == [0, 1]
    assert found.scores.tolist() == [0.5, 0.25]


def test_rank_scorings_leave_the_dataset_score_to_ties() -> None:
    rows = rows_of(
        (1, 1, 0.75, 0.125, 0.0), (1, 2, 0.625, 0.25, 0.0), (2, 1, 0.5, 0.375, 1.0), (2, 2, 0.5, 0.0, 1.0)
    )  # fmt: skip
    options = {"top_n": 9, "excluded": set[int](), "drop_mirrors": False}
    by_average = rank_rows(rows, scoring="average-rank", **options)  # type: ignore[arg-type]
    # Ranks by input are 1, 2, 3, 3 and by output 3, 2, 1, 4.
    assert by_average.scores.tolist() == [2, 2, 2, 3.5]
    assert by_average.chosen.tolist() == [2, 0, 1, 3]  # the better average score first, then the lower id
    by_worse = rank_rows(rows, scoring="max-rank", **options)  # type: ignore[arg-type]
    assert by_worse.scores.tolist() == [2, 3, 3, 4]
    assert by_worse.chosen.tolist() == [1, 2, 0, 3]


def test_ranks_are_among_the_rows_that_compete() -> None:
    rows = rows_of((1, 1, 0.9, 0.9, 0.0), (2, 1, 0.5, 0.5, 0.0), (3, 1, 0.1, 0.1, 0.0))
    found = rank_rows(rows, top_n=9, scoring="average-rank", excluded={1}, drop_mirrors=False)
    assert found.chosen.tolist() == [1, 2]
    assert found.scores.tolist() == [1, 2]


def test_mirrors_passed_over_on_the_way_are_named_and_those_below_the_cut_are_not() -> None:
    rows = [
        ScoredRow(1, place, score, score, score, 1, 1, content)
        for place, (score, content) in enumerate([(0.9, 1), (0.8, 1), (0.7, 5), (0.6, 1), (0.5, 6), (0.4, 6)], start=1)
    ]
    for top_n, chosen, mirrors in (
        (1, [0], []),
        (2, [0, 2], [[1, 0]]),
        (3, [0, 2, 4], [[1, 0], [3, 0]]),
        (4, [0, 2, 4], [[1, 0], [3, 0], [5, 4]]),
    ):
        found = rank_rows(candidates(rows), top_n=top_n, scoring="max-rank", excluded=set(), drop_mirrors=True)
        assert found.chosen.tolist() == chosen
        assert sorted(found.mirrors.tolist()) == mirrors


def test_weights_count_as_much_as_they_say_and_ties_go_to_the_plain_mean() -> None:
    rows = rows_of((1, 1, 0.5, 0.75, 0.0), (1, 2, 0.5, 0.25, 0.0), (2, 1, 0.25, 0.5, 1.0), (2, 2, 0.5, 0.5, 1.0))
    options: dict[str, Any] = {"top_n": 9, "scoring": "average-score", "excluded": set(), "drop_mirrors": False}
    found = rank_rows(rows, weights=(1.0, 0.0, 0.0), **options)
    assert found.scores.tolist() == [0.5, 0.5, 0.5, 0.25]
    assert found.chosen.tolist() == [3, 0, 1, 2]
    found = rank_rows(rows, weights=(1.0, 2.0, 1.0), **options)
    assert found.scores.tolist() == [0.625, 0.5625, 0.5, 0.25]
    assert found.chosen.tolist() == [3, 2, 0, 1]


def test_no_dataset_has_more_than_its_share_of_what_was_asked_for() -> None:
    rows = rows_of(*((1, row, 0.9 - row / 100, 0.0, 0.0) for row in range(1, 30)), (2, 1, 0.1, 0.0, 0.0))
    options: dict[str, Any] = {"scoring": "average-score", "excluded": set(), "drop_mirrors": False}
    for top_n, share, chosen in (
        (10, 0.3, [0, 1, 2, 29]),  # the others are too few to fill it up
        (4, 0.25, [0, 29]),
        (3, 0.1, [0, 29]),  # a share of less than a row is one row
        (2, 0.99, [0, 29]),
        (100, 0.29, [*range(29), 29]),  # 28.999999999999996 in floating point
    ):
        assert rank_rows(rows, top_n=top_n, max_share=share, **options).chosen.tolist() == chosen


def test_mirrors_go_before_datasets_are_capped() -> None:
    rows = [
        ScoredRow(dataset, place, score, score, score, 1, 1, content)
        for place, (dataset, score, content) in enumerate(
            [(1, 0.9, "a"), (2, 0.8, "b"), (2, 0.7, "a"), (1, 0.6, "c"), (3, 0.5, "c"), (3, 0.4, "d")], start=1
        )
    ]
    rows = [replace(row, content=ord(str(row.content))) for row in rows]
    options: dict[str, Any] = {"top_n": 3, "scoring": "average-score", "excluded": set(), "drop_mirrors": True}
    found = rank_rows(candidates(rows), max_share=0.34, **options)
    # The copy of `a` does not count for dataset 2; that of `c` stays out with the row it repeats, which had no place.
    assert found.chosen.tolist() == [0, 1, 5]
    assert found.mirrors.tolist() == [[2, 0]]
