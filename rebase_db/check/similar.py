"""Nearness of meaning: cosines between registered benchmarks' items and examples, or the cells their rows won by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.check.benchmarks import benchmark_items, registered
from rebase_db.check.current import source_cells
from rebase_db.check.define import define, excerpt
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from rebase_db.check.contamination import BenchmarkItem
    from rebase_db.check.passing import Pass
    from rebase_db.embed.encoder import Encoder

_TEXTS_A_SLICE = 1024


def compare_with_benchmarks(engine: Engine, made: Pass, load_encoder: Callable[[], Encoder]) -> None:
    """Hold inputs, and the cells that source rows won their input score by, against the inputs of every benchmark.

    Vectors of benchmarks and examples are computed for the pass and not kept: it is for tasks that ask for it.
    """
    checks = made.file.checks
    with engine.connect() as connection:
        benchmarks = registered(connection)
    encoded: tuple[list[BenchmarkItem], NDArray[np.float32]] | None = None
    for name, settings in (
        ("similar_to_benchmark", checks.similar_to_benchmark),
        ("source_similar_to_benchmark", checks.source_similar_to_benchmark),
    ):
        if settings.action == "off" or not benchmarks:
            continue
        encoder_id = made.lane[1]
        definition = define(name, 1, settings, benchmarks=list(benchmarks), encoder_id=encoder_id)
        missing = made.without(definition)
        if not missing:
            continue
        with engine.connect() as connection:
            items = benchmark_items(connection, list(benchmarks.values()))
            cells = source_cells(connection, [each.example_id for each in missing])
        encoder = load_encoder()
        if encoded is None:
            encoded = items, encoder.encode([item.input for item in items])
        texts = [each.input if name == "similar_to_benchmark" else cells[each.example_id] for each in missing]
        for each, (score, item) in zip(missing, _nearest(encoder, texts, *encoded), strict=True):
            evidence = {"benchmark": item.benchmark, "item": item.item_id, "text": excerpt(item.input)}
            failed = score >= settings.similarity
            made.add(definition, each.example_id, Finding(failed, score, evidence if failed else {}))


def _nearest(
    encoder: Encoder, texts: Sequence[str], items: Sequence[BenchmarkItem], vectors: NDArray[np.float32]
) -> list[tuple[float, BenchmarkItem]]:
    found: list[tuple[float, BenchmarkItem]] = []
    for start in range(0, len(texts), _TEXTS_A_SLICE):
        cosines = encoder.encode(texts[start : start + _TEXTS_A_SLICE]) @ vectors.T
        best = cosines.argmax(axis=1)
        found += [(float(cosines[row, place]), items[place]) for row, place in enumerate(best.tolist())]
    return found
