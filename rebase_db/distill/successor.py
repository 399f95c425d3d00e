"""A cleaned successor of a frozen set: the same examples in the same order, without those that are retracted by now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from rebase_db.distill.selection import describe_chosen
from rebase_db.distill.training_set import (
    FrozenSet,
    find_training_set,
    first_without_retracted,
    free_name,
    lock_version,
    manifest_hash,
    write_set,
)
from rebase_db.errors import TrainingError
from rebase_db.retract.lock import hold_still
from rebase_db.retract.members import retracted_members
from rebase_db.schema import Example, Task, TaskVersion, TrainingSet, TrainingSetMember

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Successor:
    """The set that follows, `made` now or before; the set itself, where it has nothing retracted."""

    frozen: FrozenSet
    left_out: int
    made: bool


def freeze_successor(
    connection: Connection, set_name: str, *, task: str | None = None, name: str | None = None
) -> Successor:
    """Freeze a set anew without its retracted members, unless there are none or that was done.

    Args:
        connection: In a transaction that the caller commits.
        set_name: The set that is followed.
        task: The task that it must be of, if given.
        name: A name for the new one.

    Raises:
        UnknownNameError: There is no such set.
        TrainingError: It is another task's, nothing of it is left, or the name belongs to another set.
    """
    hold_still(connection)
    before = find_training_set(connection, set_name)
    version_id, selection, own_task = connection.execute(
        select(TrainingSet.task_version_id, TrainingSet.selection, Task.name)
        .join(TaskVersion, TaskVersion.task_version_id == TrainingSet.task_version_id)
        .join(Task, Task.task_id == TaskVersion.task_id)
        .where(TrainingSet.training_set_id == before.training_set_id)
    ).one()
    if task not in {None, own_task}:
        raise TrainingError(f"Training set {set_name!r} is of task {own_task!r}, not of {task!r}.")
    retracted = retracted_members(connection, before.training_set_id)
    if not retracted:
        return Successor(before, 0, made=False)
    if len(retracted) == before.size:
        raise TrainingError(
            f"All {before.size:,} examples of training set {set_name!r} are retracted, so nothing is left of it.",
            hint=f"`rebase run` finds and makes others; then `rebase freeze {own_task}`.",
        )
    gone = {member.example_id for member in retracted}
    members = connection.execute(
        select(Example.example_id, Example.content_hash)
        .join(TrainingSetMember, TrainingSetMember.example_id == Example.example_id)
        .where(TrainingSetMember.training_set_id == before.training_set_id)
        .order_by(TrainingSetMember.position)
    ).all()
    kept = [row for row in members if row.example_id not in gone]
    manifest = manifest_hash(lock_version(connection, version_id), [row.content_hash for row in kept])
    same = select(TrainingSet.training_set_id, TrainingSet.name, TrainingSet.size, TrainingSet.manifest_hash).where(
        TrainingSet.successor_of == before.training_set_id, TrainingSet.manifest_hash == manifest
    )
    found = first_without_retracted(connection, same if name is None else same.where(TrainingSet.name == name))
    if found is not None:
        return Successor(found, len(gone), made=False)
    why = {
        "successor_of": before.name,
        "without": len(gone),
        "retractions": sorted({number for member in retracted for number in member.retractions}),
    }
    kept_ids = [row.example_id for row in kept]
    frozen = write_set(
        connection,
        version_id,
        name or free_name(connection, f"{own_task}-{manifest.hex()[:8]}"),
        kept_ids,
        {**selection, **describe_chosen(connection, version_id, kept_ids), **why},
        manifest,
        before.training_set_id,
    )
    return Successor(frozen, len(gone), made=True)
