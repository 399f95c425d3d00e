"""Freezing takes what is accepted once all has been checked."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.lease import Lease
from tests.check.ground import Ground, add_benchmark, task_file
from workers.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator


class Silent:
    """Shows no steps."""

    @contextmanager
    def step(self, _title: str) -> Iterator[Any]:
        yield None


@pytest.fixture
def steps(ground: Ground) -> Iterator[Pipeline]:
    """The steps of the ground's task."""
    with Lease(ground.engine) as lease:
        made = Pipeline(ground.engine, lease, Silent(), task_file(ground.file.name))
        vars(made).update(encoder_id=ground.lane[1])
        yield made


def members(ground: Ground, training_set_id: int) -> list[int]:
    query = "SELECT example_id FROM training_set_member WHERE training_set_id = :id ORDER BY position"
    return [row[0] for row in ground.rows(query, id=training_set_id)]


def test_only_accepted_examples_are_frozen(ground: Ground, steps: Pipeline) -> None:
    first, copy, copied, last = (
        ground.put(rank, text)
        for rank, text in enumerate(["It meows.", "It MEOWS!", ground.file.examples[0].input, "It moos."], 1)
    )
    frozen = steps.freeze(steps.stored())
    assert members(ground, frozen.training_set_id) == [first, last]
    assert ground.states(first, copy, copied, last) == ["transformed", "rejected", "rejected", "transformed"]


def test_a_set_that_is_frozen_stays_and_the_next_is_without_what_was_found(ground: Ground, steps: Pipeline) -> None:
    long = "The heron stands on one leg in the shallow water and waits for a fish until the evening."
    clean, seen = ground.put(1, "It meows."), ground.put(2, long)
    before = steps.freeze(steps.stored())
    assert members(ground, before.training_set_id) == [clean, seen]
    add_benchmark(ground.engine, "birds", long)
    after = steps.freeze(steps.stored())
    assert members(ground, after.training_set_id) == [clean]
    assert members(ground, before.training_set_id) == [clean, seen]
