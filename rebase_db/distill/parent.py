"""A run whose weights another may start from: which it can be, what is new to it, and whether its weights are its own.

Such a student has learned from the sets of both, and of all runs before: that is what `lineage.run_set` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from rebase_db.distill.student import TrainingExample, artifact_hash
from rebase_db.errors import TrainingError, UnknownNameError
from rebase_db.retract.members import retracted_members, why_retracted
from rebase_db.schema import TaskVersion, TrainingRun, TrainingSet
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_FROM_BASE = "Without --parent the student starts from its base model."


@dataclass(frozen=True, slots=True)
class Parent:
    """A finished run, and the model it started from at first."""

    training_run_id: int
    training_set_id: int
    student: str
    base: str
    base_revision: str
    base_weights_hash: bytes
    labels: list[str] | None
    artifact_path: str
    artifact_hash: bytes


def find_parent(connection: Connection, training_run_id: int) -> Parent:
    """A run to start from.

    Raises:
        UnknownNameError: There is no such run.
        TrainingError: It has left no weights.
    """
    row = connection.execute(
        select(
            TrainingRun.training_run_id,
            TrainingRun.training_set_id,
            TrainingRun.student,
            TrainingRun.base,
            TrainingRun.base_revision,
            TrainingRun.base_weights_hash,
            TaskVersion.labels,
            TrainingRun.artifact_path,
            TrainingRun.artifact_hash,
            TrainingRun.state,
        )
        .join(TrainingSet, TrainingSet.training_set_id == TrainingRun.training_set_id)
        .join(TaskVersion, TaskVersion.task_version_id == TrainingSet.task_version_id)
        .where(TrainingRun.training_run_id == training_run_id)
    ).one_or_none()
    if row is None:
        raise UnknownNameError(f"There is no run {training_run_id}.", hint="`rebase sets` shows the runs on each set.")
    *values, state = row
    if state != "done":
        raise TrainingError(
            f"Run {training_run_id} is {state} and has no weights to start from.", hint="`rebase status` shows runs."
        )
    return Parent(*values)


def refuse_parent(connection: Connection, parent: Parent, training_set_id: int, student: str) -> None:
    """Refuse to go on from a run that does not fit, or that has learned from what is retracted.

    Raises:
        TrainingError: What is in the way.
    """
    run = f"Run {parent.training_run_id}"
    if parent.student != student:
        raise TrainingError(f"{run} is a {parent.student}, and the task asks for a {student}.", hint=_FROM_BASE)
    known = parent.labels or labels_learned(connection, parent.training_set_id, parent.training_run_id)
    wanted = labels_of(connection, training_set_id) or labels_learned(
        connection, training_set_id, parent.training_run_id
    )
    if set(known) != set(wanted):
        raise TrainingError(
            f"{run} knows other labels than the training set's task: {', '.join(sorted(known))} there, "
            f"{', '.join(sorted(wanted))} here.",
            hint=_FROM_BASE,
        )
    for set_id in sets_of_run(connection, parent.training_run_id):
        members = retracted_members(connection, set_id)
        if members:
            name, size = connection.execute(
                select(TrainingSet.name, TrainingSet.size).where(TrainingSet.training_set_id == set_id)
            ).one()
            raise TrainingError(
                f"{run} cannot be gone on from: it has learned from training set {name!r}, of whose {size:,} examples"
                f" {len(members):,} are retracted ({why_retracted(connection, members)}).",
                hint=_FROM_BASE,
            )


def sets_of_run(connection: Connection, training_run_id: int) -> list[int]:
    """The sets that a run has learned from, its own first."""
    found = connection.execute(text(named("sets_of_run")), {"training_run_id": training_run_id}).scalars()
    return list(dict.fromkeys(found))


def labels_of(connection: Connection, training_set_id: int) -> list[str] | None:
    """The label set of a set's task version, if it has one."""
    labels: list[str] | None = connection.execute(
        select(TaskVersion.labels).join(TrainingSet).where(TrainingSet.training_set_id == training_set_id)
    ).scalar_one()
    return labels


def labels_learned(connection: Connection, training_set_id: int, training_run_id: int | None) -> list[str]:
    """The different outputs of a set and of what a run has learned from, in their order."""
    asked = {"training_set_id": training_set_id, "training_run_id": training_run_id}
    return list(connection.execute(text(named("labels_learned")), asked).scalars())


def new_examples(connection: Connection, training_set_id: int, training_run_id: int) -> Sequence[TrainingExample]:
    """The members of a set that a run has not learned from yet, in the set's order."""
    asked = {"training_set_id": training_set_id, "training_run_id": training_run_id}
    return [TrainingExample(*row) for row in connection.execute(text(named("new_members")), asked)]


def weights_of(parent: Parent) -> Path:
    """The folder of a parent's weights, which are those that it was trained to.

    Raises:
        TrainingError: The folder is not on this machine, or has changed.
    """
    folder = Path(parent.artifact_path)
    where = f"The weights of run {parent.training_run_id} in {folder}"
    if not folder.is_dir():
        raise TrainingError(f"{where} are not there.", hint="Train where they are, or bring the folder back.")
    if artifact_hash(folder) != parent.artifact_hash:
        raise TrainingError(f"{where} are not those that were trained.", hint="`rebase verify` says what has changed.")
    return folder
