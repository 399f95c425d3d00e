"""Cosines with the items of benchmarks, under an encoder whose vectors are told it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.check.ground import OFF, Ground, add_benchmark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BARE = {"length": OFF, "contaminated_example": OFF, "contaminated_source": OFF, "duplicate": OFF}


class FakeEncoder:
    """Turns a text into the direction it names in degrees, `north 30`; counts how often it was loaded.

    `b`, of the lineage's own benchmark, is 300 degrees.
    """

    def __init__(self) -> None:
        self.loaded = 0
        self.encoded: list[str] = []

    def load(self) -> Any:
        self.loaded += 1
        return self

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.encoded += texts
        angles = np.radians([300.0 if text == "b" else float(text.split()[-1]) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


def check(ground: Ground, encoder: FakeEncoder, **checks: Any) -> Any:
    return ground.check(BARE | checks, encoder=encoder.load)


def test_the_encoder_is_loaded_only_for_who_asks(ground: Ground, encoder: FakeEncoder) -> None:
    add_benchmark(ground.engine, "compass", "north 0")
    check(ground, encoder, similar_to_benchmark={"action": "warn"})
    assert encoder.encoded == [], "there is nothing to encode"
    ground.put(1, "north 30")
    checked = check(ground, encoder)
    assert encoder.loaded == 0
    assert not {"similar_to_benchmark", "source_similar_to_benchmark"} & set(checked.verdicts)
    check(ground, encoder, similar_to_benchmark={"action": "warn"})
    assert encoder.encoded == ["b", "north 0", "north 30"]


def test_inputs_and_winning_cells(ground: Ground, encoder: FakeEncoder) -> None:
    add_benchmark(ground.engine, "compass", "north 0", "east 90")
    near = ground.put(1, "about 20", source={"letter": "away 200"})
    far = ground.put(2, "about 45", source={"letter": "away 85"})
    checked = check(
        ground,
        encoder,
        similar_to_benchmark={"action": "reject", "similarity": 0.9},
        source_similar_to_benchmark={"action": "warn", "similarity": 0.9},
    )
    assert ground.states(near, far) == ["rejected", "transformed"]
    assert checked.verdicts["similar_to_benchmark"] == {"fail": 1, "pass": 1}
    assert checked.verdicts["source_similar_to_benchmark"] == {"warn": 1, "pass": 1}
    assert ground.evidence(near, "similar_to_benchmark") == {
        "benchmark": "compass",
        "item": "compass-1",
        "text": "north 0",
    }
    assert ground.evidence(far, "source_similar_to_benchmark")["item"] == "compass-2"
    assert ground.evidence(far, "similar_to_benchmark") == {}
    query = """
        SELECT score FROM check_result JOIN check_definition USING (check_id)
        WHERE name = 'similar_to_benchmark' AND example_id = ANY(:examples) ORDER BY example_id"""
    scores = [row[0] for row in ground.rows(query, examples=[near, far])]
    assert scores == pytest.approx([math.cos(math.radians(20)), math.cos(math.radians(45))])


def test_only_what_is_new_is_encoded(ground: Ground, encoder: FakeEncoder) -> None:
    add_benchmark(ground.engine, "compass", "north 0")
    ground.put(1, "about 20")
    settings = {"action": "reject", "similarity": 0.9}
    check(ground, encoder, similar_to_benchmark=settings)
    assert sorted(encoder.encoded) == ["about 20", "b", "north 0"]
    encoder.encoded.clear()
    check(ground, encoder, similar_to_benchmark=settings)
    assert (encoder.loaded, encoder.encoded) == (1, []), "a second pass has nothing to encode"
    ground.put(2, "about 30")
    check(ground, encoder, similar_to_benchmark=settings)
    assert sorted(encoder.encoded) == ["about 30", "b", "north 0"]


def test_another_threshold_or_benchmark_is_another_definition(ground: Ground, encoder: FakeEncoder) -> None:
    add_benchmark(ground.engine, "compass", "north 0")
    example = ground.put(1, "about 60")
    check(ground, encoder, similar_to_benchmark={"action": "reject", "similarity": 0.9})
    check(ground, encoder, similar_to_benchmark={"action": "reject", "similarity": 0.4})
    assert ground.states(example) == ["rejected"]
    check(ground, encoder, similar_to_benchmark={"action": "reject", "similarity": 0.9})
    assert ground.states(example) == ["transformed"]
    add_benchmark(ground.engine, "finer", "north 58")
    check(ground, encoder, similar_to_benchmark={"action": "reject", "similarity": 0.9})
    assert ground.states(example) == ["rejected"]
    assert ground.evidence(example, "similar_to_benchmark")["benchmark"] == "finer"
