"""Evaluate: benchmarks, evaluations of training runs, and a prediction per item."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, CreatedAt, Digest, IntKey, digest_check


class Benchmark(Base):
    """A file of held-out items, by its content."""

    __tablename__ = "benchmark"

    benchmark_id: Mapped[IntKey]
    name: Mapped[str]
    uri: Mapped[str]
    content_hash: Mapped[Digest] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]

    __table_args__ = (*digest_check("content_hash"),)


class BenchmarkItem(Base):
    """One item: what the student is asked and what it should answer."""

    __tablename__ = "benchmark_item"

    benchmark_id: Mapped[int] = mapped_column(ForeignKey("benchmark.benchmark_id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    item_key: Mapped[str]
    input: Mapped[str]
    output: Mapped[str]

    __table_args__ = (UniqueConstraint("benchmark_id", "item_key"),)


class Evaluation(Base):
    """A training run's score on a benchmark, with its 95 % interval and the majority class beside it."""

    __tablename__ = "evaluation"

    evaluation_id: Mapped[IntKey]
    training_run_id: Mapped[int] = mapped_column(ForeignKey("training_run.training_run_id"))
    benchmark_id: Mapped[int] = mapped_column(ForeignKey("benchmark.benchmark_id"))
    metric: Mapped[str]
    value: Mapped[float] = mapped_column(DOUBLE_PRECISION)
    low: Mapped[float] = mapped_column(DOUBLE_PRECISION)
    high: Mapped[float] = mapped_column(DOUBLE_PRECISION)
    majority: Mapped[float] = mapped_column(DOUBLE_PRECISION)
    items: Mapped[int]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        UniqueConstraint("training_run_id", "benchmark_id", "metric"),
        UniqueConstraint("evaluation_id", "benchmark_id"),
        CheckConstraint("low <= value AND value <= high", name="interval"),
    )


class Prediction(Base):
    """What a run answered to one item."""

    __tablename__ = "prediction"

    evaluation_id: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    benchmark_id: Mapped[int]
    output: Mapped[str]
    confidence: Mapped[float] = mapped_column(DOUBLE_PRECISION)
    correct: Mapped[bool]

    __table_args__ = (
        # Both lead through benchmark_id: a prediction can only be of an item of its evaluation's benchmark.
        ForeignKeyConstraint(
            ["evaluation_id", "benchmark_id"], ["evaluation.evaluation_id", "evaluation.benchmark_id"]
        ),
        ForeignKeyConstraint(["benchmark_id", "position"], ["benchmark_item.benchmark_id", "benchmark_item.position"]),
    )
