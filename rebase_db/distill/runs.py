"""Training runs: asking for one, what it trains on, its metrics as they come, and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert

from rebase_db import __version__, queue
from rebase_db.control import revive, transition
from rebase_db.distill.parent import find_parent, labels_learned, new_examples, refuse_parent
from rebase_db.errors import TrainingError
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

    from rebase_db.distill.parent import Parent
    from rebase_db.distill.student import MetricPoint, TrainingExample
    from rebase_db.queue import Claim


TRAINED_ON = "trained_on"
"""Among the hyperparameters of a run with a parent: whether it is trained on all of its set, or on what is new."""


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
    parent_run_id: int | None

    @property
    def trained_on(self) -> str:
        """What of its set it is trained on: "all", or "new" where that is what its parent has not learned."""
        return str(self.hyperparameters.get(TRAINED_ON, "all"))


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
    parent: Parent | None = None,
    trained_on: str = "new",
) -> int:
    """Ask for a training run; the same set, base, hyperparameters, seed and parent find the run that is there. Its id.

    A run that failed or was cancelled is put back. With a parent the student starts from that one's weights, and
    learns what is `new` to it, or `all` of the set.

    Raises:
        TrainingError: Members of the set are retracted, the parent does not fit, or nothing is new to it.
    """
    hold_still(connection)
    refuse_retracted(connection, training_set_id)
    if parent is not None:
        refuse_parent(connection, parent, training_set_id, student)
        hyperparameters = hyperparameters | {TRAINED_ON: trained_on}
        if trained_on == "new" and not new_examples(connection, training_set_id, parent.training_run_id):
            raise TrainingError(
                f"Run {parent.training_run_id} has learned from all examples of the training set already.",
                hint="`--on all` trains it on them once more.",
            )
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
            # Not in the keys of runs without one. Models of equal weights may have learned from other rows.
            **({} if parent is None else {"parent": [parent.training_run_id, parent.artifact_hash.hex()]}),
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
            parent_run_id=None if parent is None else parent.training_run_id,
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
            TrainingRun.parent_run_id,
        )
        .join(TrainingSet, TrainingSet.training_set_id == TrainingRun.training_set_id)
        .join(TaskVersion, TaskVersion.task_version_id == TrainingSet.task_version_id)
        .where(TrainingRun.training_run_id == training_run_id)
    ).one()
    return RunRequest(*row)


@dataclass(frozen=True, slots=True)
class Begun:
    """A claimed run, what it trains on, the labels that its student knows, and the run it goes on from, if it does."""

    run: RunRequest
    examples: Sequence[TrainingExample]
    labels: list[str]
    parent: Parent | None


def begin_run(connection: Connection, training_run_id: int) -> Begun:
    """Begin a claimed run. A retraction that it does not see yet will find it claimed.

    Raises:
        TrainingError: Members of its set are retracted, or of one that its parent has learned from.
    """
    hold_still(connection)
    run = read_run(connection, training_run_id)
    refuse_retracted(connection, run.training_set_id)
    labels = run.labels or labels_learned(connection, run.training_set_id, run.parent_run_id)
    if run.parent_run_id is None:
        return Begun(run, read_examples(connection, run.training_set_id), labels, None)
    parent = find_parent(connection, run.parent_run_id)
    refuse_parent(connection, parent, run.training_set_id, run.student)
    if run.trained_on == "new":
        return Begun(run, new_examples(connection, run.training_set_id, run.parent_run_id), labels, parent)
    return Begun(run, read_examples(connection, run.training_set_id), labels, parent)


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
