"""Trace: the graph of what a record came from, and of what it led to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from rebase_db.reference import Node

MOST = 10
"""Of each kind at each record."""
MOST_RECORDS = 500
"""In each direction: beyond the level on which these are passed nothing is followed."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record on the way: what commands call it, and a few words on it."""

    kind: str
    reference: str
    description: str


@dataclass(frozen=True, slots=True)
class Step:
    """A step from a record to the next in the direction of the trace.

    Args:
        to: The next record; None where this stands for `others`.
        kind: Its kind.
        role: What it is to the record, where kinds alone do not say it.
        others: How many more of its kind there are at the record, where not all were followed.
    """

    record: Record
    to: Record | None
    kind: str
    role: str | None
    others: int


@dataclass(frozen=True, slots=True)
class Trace:
    """What a record came from (`up`) and what it led to (`down`), each step once.

    Args:
        unfollowed: By direction, how many records were left where a trace became too large.
    """

    start: Record
    up: list[Step] = field(default_factory=list)
    down: list[Step] = field(default_factory=list)
    unfollowed: dict[str, int] = field(default_factory=dict)

    def records(self) -> list[Record]:
        """Every record, the first first."""
        reached = (step.to for step in (*self.up, *self.down) if step.to is not None)
        return list(dict.fromkeys((self.start, *reached)))


def trace(
    connection: Connection,
    node: Node,
    directions: Sequence[str] = ("up", "down"),
    *,
    most: int = MOST,
    most_records: int = MOST_RECORDS,
) -> Trace:
    """Follow a record up, down, or both ways, in one statement.

    Args:
        connection: The database.
        node: Where to begin.
        directions: `up`, `down` or both.
        most: How many of each kind are followed at each record; the others are counted.
        most_records: How many records there may be in each direction, give or take one level.
    """
    asked = {
        "kind": node.kind, "key": node.key, "most": most, "most_records": most_records,
        "up": "up" in directions, "down": "down" in directions,
    }  # fmt: skip
    found = connection.execute(text(named("trace")), asked).one()
    records = {(each["kind"], each["key"]): _record(each) for each in found.records}
    traced = Trace(records[node.kind, node.key])
    for step in found.steps:
        if step["kind"] is None:
            traced.unfollowed[step["direction"]] = step["others"]
        else:
            ways = traced.up if step["direction"] == "up" else traced.down
            ways.append(_step(step, records))
    return traced


def _record(found: dict[str, Any]) -> Record:
    return Record(found["kind"], found["reference"], found["description"])


def _step(found: dict[str, Any], records: dict[tuple[str, str], Record]) -> Step:
    following = None if found["next_key"] is None else records[found["next_kind"], found["next_key"]]
    record = records[found["kind"], found["key"]]
    return Step(record, following, found["next_kind"], found["role"], found["others"] or 0)
