"""Distill: frozen training sets, training runs and their metrics."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, BigInt, CreatedAt, Digest, IntKey, JobColumns, digest_check, job_checks
from rebase_db.states import JOB


class TrainingSet(Base):
    """A frozen, ordered choice of examples.

    `manifest_hash` (tag `training_set/v1`) is over the task version's hash and the examples' in order. `successor_of`
    is the set that this one repeats without what has been retracted since. `selection` says what it was chosen from,
    and what was left out and why.
    """

    __tablename__ = "training_set"

    training_set_id: Mapped[IntKey]
    task_version_id: Mapped[int] = mapped_column(ForeignKey("task_version.task_version_id"))
    name: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int]
    selection: Mapped[Any]
    manifest_hash: Mapped[Digest]
    successor_of: Mapped[int | None] = mapped_column(ForeignKey("training_set.training_set_id"))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("successor_of < training_set_id", name="successor"),
        CheckConstraint("size > 0", name="size"),
        *digest_check("manifest_hash"),
        Index(None, "task_version_id", "manifest_hash"),
    )


class TrainingSetMember(Base):
    """An example's place in a training set, from 1."""

    __tablename__ = "training_set_member"

    training_set_id: Mapped[int] = mapped_column(ForeignKey("training_set.training_set_id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    example_id: Mapped[BigInt] = mapped_column(BigInteger, ForeignKey("example.example_id"))

    __table_args__ = (UniqueConstraint("training_set_id", "example_id"), Index(None, "example_id"))


class TrainingSetMix(Base):
    """How many members of a training set stem from exactly these datasets (ascending), through example parents too.

    Members and examples never change, so neither does this: it is counted once, when the set is frozen.
    """

    __tablename__ = "training_set_mix"

    training_set_id: Mapped[int] = mapped_column(ForeignKey("training_set.training_set_id"), primary_key=True)
    dataset_ids: Mapped[list[int]] = mapped_column(ARRAY(Integer), primary_key=True)
    examples: Mapped[int]

    __table_args__ = (
        CheckConstraint("cardinality(dataset_ids) > 0", name="dataset_ids"),
        CheckConstraint("examples > 0", name="examples"),
    )


class TrainingRun(JobColumns, Base):
    """A student trained on a training set. `run_key` (tag `training_run/v1`) is over all that decides the weights.

    `parent_run_id` is the run whose weights it started from, where those are not the base model's.
    """

    __tablename__ = "training_run"

    training_run_id: Mapped[IntKey]
    training_set_id: Mapped[int] = mapped_column(ForeignKey("training_set.training_set_id"))
    student: Mapped[str]
    base: Mapped[str]
    base_revision: Mapped[str]
    base_weights_hash: Mapped[Digest]
    hyperparameters: Mapped[Any]
    seed: Mapped[int]
    parent_run_id: Mapped[int | None] = mapped_column(ForeignKey("training_run.training_run_id"))
    code_version: Mapped[str]
    run_key: Mapped[Digest]
    created_at: Mapped[CreatedAt]
    environment: Mapped[Any | None]
    artifact_path: Mapped[str | None]
    artifact_hash: Mapped[Digest | None]

    __table_args__ = (
        # Not by the key alone: sets of the same content may be of different rows, and a run's are those of its set.
        UniqueConstraint("training_set_id", "run_key"),
        CheckConstraint("(state = 'done') = (artifact_hash IS NOT NULL)", name="done_has_artifact"),
        CheckConstraint("(artifact_hash IS NULL) = (artifact_path IS NULL)", name="artifact"),
        CheckConstraint("parent_run_id < training_run_id", name="parent"),
        *digest_check("base_weights_hash", "run_key", "artifact_hash"),
        *job_checks(JOB),
        Index("training_run_waiting_idx", "training_run_id", postgresql_where=text("state = 'waiting'")),
        Index("training_run_running_idx", "worker_id", postgresql_where=text("state = 'running'")),
    )


class Metric(Base):
    """A number measured while training; `attempt` keeps the curve of a restarted run apart from the first one's."""

    __tablename__ = "metric"

    training_run_id: Mapped[int] = mapped_column(ForeignKey("training_run.training_run_id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[float] = mapped_column(DOUBLE_PRECISION)
