"""How two training sets differ: what both have, what only one has, and why the other has it not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.distill.training_set import find_training_set
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Member:
    """An example of one of the sets or both.

    Attributes:
        only_in: `a`, `b` or `both`.
        same_content: An example of equal content that only the other set has.
        why: Why the other set has it not, as things stand now; None where both have it.
    """

    example: int
    only_in: str
    dataset: str
    label: str
    same_content: int | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sets held against each other."""

    a: str
    b: str
    members: Sequence[Member]

    def of(self, side: str) -> list[Member]:
        """The members of `a` alone, of `b` alone, or of `both`."""
        return [member for member in self.members if member.only_in == side]

    def counts(self, field: str) -> dict[str, dict[str, int]]:
        """By a field of the members how many of them both sets, only the first, and only the second have."""
        sides: dict[str, Counter[str]] = {}
        for member in self.members:
            sides.setdefault(str(getattr(member, field)), Counter())[member.only_in] += 1
        most_first = sorted(sides, key=lambda name: (-sides[name].total(), name))
        return {name: {side: sides[name][side] for side in ("both", "a", "b")} for name in most_first}

    def reasons(self, side: str) -> dict[str, int]:
        """Why the other set has not what only this one has, most frequent first."""
        found = Counter(member.why for member in self.of(side) if member.why is not None)
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON: counts, and the examples that only one has."""
        same = sum(member.same_content is not None for member in self.of("a"))
        return {
            "a": self.a,
            "b": self.b,
            "both": len(self.of("both")),
            "only_a": len(self.of("a")),
            "only_b": len(self.of("b")),
            "same_content_other_example": same,
            "datasets": self.counts("dataset"),
            "labels": self.counts("label"),
            "why_not_in_b": self.reasons("a"),
            "why_not_in_a": self.reasons("b"),
            "examples": [
                {name: getattr(member, name) for name in Member.__slots__}
                for member in self.members
                if member.only_in != "both"
            ],
        }


def compare_sets(connection: Connection, a: str, b: str) -> Difference:
    """Hold two sets against each other.

    Raises:
        UnknownNameError: There is no set of such a name.
    """
    first, second = (find_training_set(connection, name) for name in (a, b))
    asked = {"a": first.training_set_id, "b": second.training_set_id}
    rows = connection.execute(text(named("set_diff")), asked)
    return Difference(first.name, second.name, [Member(*row) for row in rows])


def list_sets(connection: Connection, task: str | None = None) -> list[dict[str, Any]]:
    """Every training set, newest first; of one task, if it is named."""
    return [dict(row) for row in connection.execute(text(named("list_sets")), {"task": task}).mappings()]
