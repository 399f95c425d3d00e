"""Benchmarks, evaluations and predictions in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from rebase_db.faults import FaultPoint, reach
from rebase_db.schema import Benchmark, BenchmarkItem, Evaluation, Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from rebase_db.evaluate.benchmark_file import Benchmark as BenchmarkFile


@dataclass(frozen=True, slots=True)
class Score:
    """A run's accuracy on a benchmark: value with its 95 % interval, and the majority class beside it; shares of 1."""

    evaluation_id: int
    metric: str
    value: float
    low: float
    high: float
    majority: float
    items: int


@dataclass(frozen=True, slots=True)
class ItemPrediction:
    """What a run answered to the item at `position`."""

    position: int
    output: str
    confidence: float
    correct: bool


def register_benchmark(connection: Connection, file: BenchmarkFile, uri: str) -> int:
    """Store a benchmark once by content; its id."""
    benchmark_id = connection.execute(
        upsert(Benchmark)
        .values(name=file.name, uri=uri, content_hash=file.content_hash)
        .on_conflict_do_nothing(index_elements=["content_hash"])
        .returning(Benchmark.benchmark_id)
    ).scalar_one_or_none()
    if benchmark_id is None:
        return connection.execute(
            select(Benchmark.benchmark_id).where(Benchmark.content_hash == file.content_hash)
        ).scalar_one()
    connection.execute(
        insert(BenchmarkItem),
        [
            {
                "benchmark_id": benchmark_id,
                "position": item.position,
                "item_key": item.item_key,
                "input": item.input,
                "output": item.output,
            }
            for item in file.items
        ],
    )
    return benchmark_id


def list_benchmarks(connection: Connection) -> list[dict[str, Any]]:
    """Number, name, items, hash and file of every benchmark, in the order they were registered."""
    rows = connection.execute(
        select(
            Benchmark.benchmark_id.label("benchmark"),
            Benchmark.name,
            func.count().label("items"),
            func.encode(Benchmark.content_hash, "hex").label("hash"),
            Benchmark.uri,
        )
        .join(BenchmarkItem)
        .group_by(Benchmark.benchmark_id)
        .order_by(Benchmark.benchmark_id)
    )
    return [dict(row) for row in rows.mappings()]


def find_score(connection: Connection, training_run_id: int, benchmark_id: int, metric: str) -> Score | None:
    """The score of a run on a benchmark, if it has been evaluated."""
    row = connection.execute(
        select(
            Evaluation.evaluation_id,
            Evaluation.metric,
            Evaluation.value,
            Evaluation.low,
            Evaluation.high,
            Evaluation.majority,
            Evaluation.items,
        ).where(
            Evaluation.training_run_id == training_run_id,
            Evaluation.benchmark_id == benchmark_id,
            Evaluation.metric == metric,
        )
    ).one_or_none()
    return None if row is None else Score(*row)


def write_evaluation(
    connection: Connection,
    training_run_id: int,
    benchmark_id: int,
    score: Score,
    predictions: Sequence[ItemPrediction],
) -> None:
    """Store a score with the prediction behind every item; an evaluation that is there already stays (same weights)."""
    evaluation_id = connection.execute(
        upsert(Evaluation)
        .values(
            training_run_id=training_run_id,
            benchmark_id=benchmark_id,
            metric=score.metric,
            value=score.value,
            low=score.low,
            high=score.high,
            majority=score.majority,
            items=score.items,
        )
        .on_conflict_do_nothing(index_elements=["training_run_id", "benchmark_id", "metric"])
        .returning(Evaluation.evaluation_id)
    ).scalar_one_or_none()
    if evaluation_id is not None:
        connection.execute(
            insert(Prediction),
            [
                {
                    "evaluation_id": evaluation_id,
                    "benchmark_id": benchmark_id,
                    "position": item.position,
                    "output": item.output,
                    "confidence": item.confidence,
                    "correct": item.correct,
                }
                for item in predictions
            ],
        )
    reach(FaultPoint.EVALUATE_BEFORE_COMMIT)
