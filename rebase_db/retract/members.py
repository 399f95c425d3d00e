"""What of training sets is retracted by now, and so must not be trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from rebase_db.errors import TrainingError
from rebase_db.schema import Retraction, TrainingSet
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class RetractedMember:
    """A member of a set whose row, or that of an example it was made from, is retracted; by which retractions."""

    position: int
    example_id: int
    retractions: tuple[int, ...]


def retracted_members(connection: Connection, training_set_id: int) -> list[RetractedMember]:
    """The members of a set that are retracted, in its order."""
    found = connection.execute(text(named("retracted_members")), {"training_set_id": training_set_id})
    return [RetractedMember(position, example_id, tuple(by)) for position, example_id, by in found]


def retracted_among(connection: Connection, example_ids: Collection[int]) -> frozenset[int]:
    """Those of some examples that are retracted, by their own row or by that of an example they were made from."""
    found = connection.execute(text(named("retracted_examples")), {"example_ids": list(example_ids)})
    return frozenset(found.scalars())


def refuse_retracted(connection: Connection, training_set_id: int) -> None:
    """Refuse to train on a set with retracted members.

    Raises:
        TrainingError: How many, by which retractions, and how to make the set without them.
    """
    members = retracted_members(connection, training_set_id)
    if not members:
        return
    name, size = _name_and_size(connection, training_set_id)
    raise TrainingError(
        f"Training set {name!r} cannot be trained on: {len(members):,} of its {size:,} examples are retracted "
        f"({why_retracted(connection, members)}).",
        hint=without_retracted(connection, training_set_id),
    )


def why_retracted(connection: Connection, members: Sequence[RetractedMember]) -> str:
    """The retractions of some members with their reasons."""
    numbers = sorted({number for member in members for number in member.retractions})
    reasons = connection.execute(
        select(Retraction.retraction_id, Retraction.reason)
        .where(Retraction.retraction_id.in_(numbers))
        .order_by(Retraction.retraction_id)
    )
    return "; ".join(f"retraction {number}: {reason}" for number, reason in reasons)


def without_retracted(connection: Connection, training_set_id: int) -> str:
    """How to get a set without what is retracted of it: the successor there is, what makes one, or that none can be."""
    before = TrainingSet.successor_of
    after = select(TrainingSet.training_set_id).where(before == training_set_id).cte("after", recursive=True)
    further = select(TrainingSet.training_set_id).join(after, before == after.c.training_set_id)
    query = select(after.union(further).c.training_set_id).order_by(text("training_set_id DESC"))
    successors = list(connection.execute(query).scalars())
    left = {}
    for each in (*successors, training_set_id):
        name, size = _name_and_size(connection, each)
        left[each] = size - len(retracted_members(connection, each))
        if left[each] == size and each != training_set_id:
            return f"The set {name} is the same without them."
    begin = next((each for each, number in left.items() if number), None)
    if begin is None:
        return "Nothing would be left of the set without them."
    return f"`{successor_command(_name_and_size(connection, begin)[0])}` makes the set without them."


def _name_and_size(connection: Connection, training_set_id: int) -> tuple[str, int]:
    own = TrainingSet.training_set_id == training_set_id
    name, size = connection.execute(select(TrainingSet.name, TrainingSet.size).where(own)).one()
    return name, size


def successor_command(name: str) -> str:
    """What makes a set anew without what is retracted."""
    from shlex import quote

    return f"rebase freeze --successor-of {quote(name)}"
