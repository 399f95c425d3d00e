"""Freezing a training set: which examples, in which order, under a hash anyone can recompute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, text

from rebase_db.distill.selection import ACCEPTED, describe_selection
from rebase_db.errors import TrainingError, UnknownNameError, did_you_mean
from rebase_db.faults import FaultPoint, reach
from rebase_db.hashing import content_hash
from rebase_db.retract.lock import hold_still
from rebase_db.retract.members import retracted_among, retracted_members
from rebase_db.schema import Example, Generation, RetrievalLink, TaskVersion, TrainingSet, TrainingSetMember
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection, Select


@dataclass(frozen=True, slots=True)
class FrozenSet:
    """A training set as the database has it."""

    training_set_id: int
    name: str
    size: int
    manifest_hash: bytes


def manifest_hash(task_version_hash: bytes, example_hashes: Sequence[bytes]) -> bytes:
    """Tag `training_set/v1`, over the task version's hash and the examples' in order."""
    return content_hash(
        "training_set/v1",
        {"task_version": task_version_hash.hex(), "examples": [digest.hex() for digest in example_hashes]},
    )


def freeze(
    connection: Connection,
    task_version_id: int,
    encoder_id: int,
    task_name: str,
    *,
    name: str | None = None,
    checks: Collection[str] | None = None,
) -> FrozenSet:
    """Freeze the examples of a task's present ranking, best ranked first.

    Of each link the example of its last attempt is taken, unless its row is retracted or that of an example it was made
    from. Freezing the same examples in the same order again finds the set that is there, unless another name is asked
    for, or those were made from rows that are retracted by now. `checks` are the names of those that decided, for the
    record; by default all that have said something.

    Raises:
        TrainingError: No example was accepted, or the name belongs to another set.
    """
    hold_still(connection)
    rows = connection.execute(
        select(Example.example_id, Example.content_hash)
        .join(Generation, Generation.generation_id == Example.generation_id)
        .join(
            RetrievalLink,
            (RetrievalLink.link_id == Generation.link_id) & (RetrievalLink.attempt == Generation.attempt),
        )
        .where(
            RetrievalLink.task_version_id == task_version_id,
            RetrievalLink.encoder_id == encoder_id,
            RetrievalLink.displaced_by.is_(None),
            RetrievalLink.retracted_at.is_(None),
            RetrievalLink.state.in_(ACCEPTED),
        )
        .order_by(RetrievalLink.rank)
    ).all()
    retracted = retracted_among(connection, [row.example_id for row in rows])
    rows = [row for row in rows if row.example_id not in retracted]
    if not rows:
        raise TrainingError(
            f"Task {task_name!r} has no accepted example to train on.",
            hint="`rebase status` shows why rows were rejected; a template teacher's rules may not fit the datasets.",
        )
    manifest = manifest_hash(lock_version(connection, task_version_id), [row.content_hash for row in rows])
    same = select(TrainingSet.training_set_id, TrainingSet.name, TrainingSet.size, TrainingSet.manifest_hash).where(
        TrainingSet.task_version_id == task_version_id, TrainingSet.manifest_hash == manifest
    )
    found = first_without_retracted(connection, same if name is None else same.where(TrainingSet.name == name))
    if found is not None:
        return found
    example_ids = [row.example_id for row in rows]
    return write_set(
        connection,
        task_version_id,
        name or free_name(connection, f"{task_name}-{manifest.hex()[:8]}"),
        example_ids,
        describe_selection(connection, task_version_id, encoder_id, example_ids, checks),
        manifest,
    )


def first_without_retracted(connection: Connection, sets: Select[*tuple[Any, ...]]) -> FrozenSet | None:
    """The first of some sets that has no retracted member: equal examples may be of other rows."""
    for row in connection.execute(sets.order_by(TrainingSet.training_set_id)).all():
        if not retracted_members(connection, row.training_set_id):
            return FrozenSet(*row)
    return None


def free_name(connection: Connection, name: str) -> str:
    """The name, or with a number behind it where a set has it already."""
    taken = set(connection.execute(select(TrainingSet.name).where(TrainingSet.name.startswith(name))).scalars())
    return next(each for each in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if each not in taken)


def lock_version(connection: Connection, task_version_id: int) -> bytes:
    """Have two processes that freeze the same task take turns; the task version's hash."""
    return connection.execute(
        select(TaskVersion.content_hash).where(TaskVersion.task_version_id == task_version_id).with_for_update()
    ).scalar_one()


def write_set(
    connection: Connection,
    task_version_id: int,
    name: str,
    example_ids: Sequence[int],
    selection: dict[str, Any],
    manifest: bytes,
    successor_of: int | None = None,
) -> FrozenSet:
    """Write a new set of these examples in this order; the task version is locked.

    Raises:
        TrainingError: The name belongs to another set.
    """
    if connection.execute(select(TrainingSet.training_set_id).where(TrainingSet.name == name)).first():
        raise TrainingError(
            f"The name {name!r} belongs to another training set already.",
            hint="Training sets are frozen: choose another.",
        )
    set_id = connection.execute(
        insert(TrainingSet)
        .values(
            task_version_id=task_version_id,
            name=name,
            size=len(example_ids),
            selection=selection,
            manifest_hash=manifest,
            successor_of=successor_of,
        )
        .returning(TrainingSet.training_set_id)
    ).scalar_one()
    connection.execute(
        insert(TrainingSetMember),
        [
            {"training_set_id": set_id, "position": position, "example_id": example_id}
            for position, example_id in enumerate(example_ids, 1)
        ],
    )
    connection.execute(text(named("record_mixes")), {"training_set_id": set_id})
    reach(FaultPoint.FREEZE_BEFORE_COMMIT)
    return FrozenSet(set_id, name, len(example_ids), manifest)


def find_training_set(connection: Connection, name: str) -> FrozenSet:
    """A training set by name.

    Raises:
        UnknownNameError: There is none.
    """
    columns = (TrainingSet.training_set_id, TrainingSet.name, TrainingSet.size, TrainingSet.manifest_hash)
    row = connection.execute(select(*columns).where(TrainingSet.name == name)).one_or_none()
    if row is None:
        names = list(connection.execute(select(TrainingSet.name)).scalars())
        raise UnknownNameError(f"There is no training set {name!r}.", hint=did_you_mean(name, names))
    return FrozenSet(*row)


def label_counts(connection: Connection, training_set_id: int) -> list[tuple[str, int]]:
    """Outputs of a training set with their number, most frequent first."""
    rows = connection.execute(
        select(Example.output, func.count())
        .join(TrainingSetMember, TrainingSetMember.example_id == Example.example_id)
        .where(TrainingSetMember.training_set_id == training_set_id)
        .group_by(Example.output)
        .order_by(func.count().desc(), Example.output)
    )
    return [(output, count) for output, count in rows]
