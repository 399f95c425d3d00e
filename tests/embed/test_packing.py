from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rebase_db.embed.packing import pack

lengths_of_texts = st.lists(st.integers(0, 300), max_size=200)
budgets = st.integers(1, 1_000)


def cost(lengths: list[int], batch: list[int], *, padded: bool) -> int:
    chosen = [lengths[index] for index in batch]
    return len(chosen) * max(chosen) if padded else sum(chosen)


@given(lengths_of_texts, budgets, st.booleans())
def test_every_text_is_in_exactly_one_batch(lengths: list[int], budget: int, padded: bool) -> None:
    batches = pack(lengths, budget, padded=padded)
    assert sorted(int(index) for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batch.size for batch in batches)


@given(lengths_of_texts, budgets, st.booleans())
def test_only_a_text_that_is_longer_than_the_budget_exceeds_it_and_then_alone(
    lengths: list[int], budget: int, padded: bool
) -> None:
    for batch in pack(lengths, budget, padded=padded):
        assert batch.size == 1 or cost(lengths, batch.tolist(), padded=padded) <= budget


@given(lengths_of_texts, budgets, st.booleans())
def test_lengths_fall_within_and_across_batches(lengths: list[int], budget: int, padded: bool) -> None:
    in_order = [lengths[index] for batch in pack(lengths, budget, padded=padded) for index in batch]
    assert in_order == sorted(lengths, reverse=True)


@given(lengths_of_texts, budgets, st.booleans())
def test_no_batch_could_take_the_next_text_too(lengths: list[int], budget: int, padded: bool) -> None:
    batches = [batch.tolist() for batch in pack(lengths, budget, padded=padded)]
    for batch, following in pairwise(batches):
        assert cost(lengths, [*batch, following[0]], padded=padded) > budget


def test_equal_lengths_keep_their_order_so_that_a_run_can_be_repeated() -> None:
    assert [batch.tolist() for batch in pack([5, 7, 5, 7, 5], 14)] == [[1, 3], [0, 2], [4]]


def test_no_texts_make_no_batches_and_arrays_are_taken_too() -> None:
    assert pack([], 10) == []
    assert [batch.tolist() for batch in pack(np.array([3, 9], dtype=np.int32), 4)] == [[1], [0]]
