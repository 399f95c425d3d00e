"""Training runs: asking for one, what it trains on, its metrics as they come, and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert

from rebase_db import __version__, queue
from rebase_db.control import revive, transition
from rebase_db.hashing import content_hash
from rebase_db.retract.lock import hold_still
from rebase_db.retract.members import refuse_retracted
from rebase_db.schema import (
    Example,
    Generation,
    Metric,
    RetrievalLink,
    TaskVersion,
    TrainingRun,
    TrainingSet,
    TrainingSetMember,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from rebase_db.distill.student import MetricPoint, TrainingExample
    from rebase_db.queue import Claim


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A training run as asked for."""

    training_run_id: int
    training_set_id: int
    student: str
    base: str
    base_revision: str
    hyperparameters: dict[str, Any]
    seed: int
    labels: list[str] | None
    run_key: bytes
    state: str
    artifact_path: str | None


@dataclass(frozen=True, slots=True)
class Base:
    """The model a student starts from."""

    name: str
    revision: str
    weights_hash: bytes


def request_run(
    connection: Connection,
    training_set_id: int,
    *,
    student: str,
    base: Base,
    hyperparameters: dict[str, Any],
    seed: int,
) -> int:
    """Ask for a training run; the same set, base, hyperparameters and seed find the run that is there. Its id.

    A run that failed or was cancelled is put back.

    Raises:
        TrainingError: Members of the set are retracted.
    """
    hold_still(connection)
    refuse_retracted(connection, training_set_id)
    manifest = connection.execute(
        select(TrainingSet.manifest_hash).where(TrainingSet.training_set_id == training_set_id)
    ).scalar_one()
    key = content_hash(
        "training_run/v1",
        {
            "manifest": manifest.hex(),
            "student": student,
            "base_weights": base.weights_hash.hex(),
            "hyperparameters": hyperparameters,
            "seed": seed,
        },
    )
    connection.execute(
        upsert(TrainingRun)
        .values(
            training_set_id=training_set_id,
            student=student,
            base=base.name,
            base_revision=base.revision,
            base_weights_hash=base.weights_hash,
            hyperparameters=hyperparameters,
            seed=seed,
            code_version=__version__,
            run_key=key,
            state="waiting",
        )
        .on_conflict_do_nothing(index_elements=["training_set_id", "run_key"])
    )
    same = (TrainingRun.training_set_id == training_set_id) & (TrainingRun.run_key == key)
    revive(connection, queue.DISTILL, ("failed", "cancelled"), same)
    return connection.execute(select(TrainingRun.training_run_id).where(same)).scalar_one()


def read_run(connection: Connection, training_run_id: int) -> RunRequest:
    """A run by id."""
    row = connection.execute(
        select(
            TrainingRun.training_run_id,
            TrainingRun.training_set_id,
            TrainingRun.student,
            TrainingRun.base,
            TrainingRun.base_revision,
            TrainingRun.hyperparameters,
            TrainingRun.seed,
            TaskVersion.labels,
            TrainingRun.run_key,
            TrainingRun.state,
            TrainingRun.artifact_path,
        )
        .join(TrainingSet, TrainingSet.training_set_id == TrainingRun.training_set_id)
        .join(TaskVersion, TaskVersion.task_version_id == TrainingSet.task_version_id)
        .where(TrainingRun.training_run_id == training_run_id)
    ).one()
    return RunRequest(*row)


def begin_run(connection: Connection, training_run_id: int) -> tuple[RunRequest, list[TrainingExample]]:
    """A claimed run and what it trains on. A retraction that it does not see yet will find it claimed.

    Raises:
        TrainingError: Members of its set are retracted.
    """
    hold_still(connection)
    run = read_run(connection, training_run_id)
    refuse_retracted(connection, run.training_set_id)
    return run, read_examples(connection, run.training_set_id)


def read_examples(connection: Connection, training_set_id: int) -> list[TrainingExample]:
    """The examples of a set in its order."""
    from rebase_db.distill.student import TrainingExample

    rows = connection.execute(
        select(Example.example_id, Example.input, Example.output)
        .join(TrainingSetMember, TrainingSetMember.example_id == Example.example_id)
        .where(TrainingSetMember.training_set_id == training_set_id)
        .order_by(TrainingSetMember.position)
    )
    return [TrainingExample(*row) for row in rows]


def write_metrics(connection: Connection, claim: Claim, points: Sequence[MetricPoint]) -> None:
    """Append points of a run's curve; those that are there already, of the same attempt, stay."""
    if points:
        connection.execute(
            upsert(Metric).on_conflict_do_nothing(),
            [
                {
                    "training_run_id": claim.item_id,
                    "attempt": claim.attempt,
                    "name": point.name,
                    "step": point.step,
                    "value": point.value,
                }
                for point in points
            ],
        )


def mark_distilled(connection: Connection, training_run_id: int) -> None:
    """Make the links of a run's examples distilled, in the transaction that finishes the run."""
    members = (
        select(Generation.link_id)
        .join(Example, Example.generation_id == Generation.generation_id)
        .join(TrainingSetMember, TrainingSetMember.example_id == Example.example_id)
        .join(TrainingRun, TrainingRun.training_set_id == TrainingSetMember.training_set_id)
        .where(TrainingRun.training_run_id == training_run_id)
    )
    transition(connection, queue.TRANSFORM, "distil", ("transformed",), RetrievalLink.link_id.in_(members))
