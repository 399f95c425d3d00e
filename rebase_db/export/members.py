"""The members of a training set in order, each with the rows behind it, streamed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from sqlalchemy import text

from rebase_db.licence.duty import Duty, in_order
from rebase_db.licence.known import read_licence
from rebase_db.sql import named

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence
    from typing import Any

    from sqlalchemy import Connection

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Making:
    """How one example was made: from which row, by which call; of a member itself or of an example it is made from.

    Hashes are 32 bytes; `parents` are the examples it was made from beside its row, `retractions` those that stand over
    the row.
    """

    example_id: int
    example_hash: bytes
    example_made_at: dt.datetime
    example_erased: bool
    parents: Sequence[int]
    generation_id: int
    answered_at: dt.datetime
    latency_seconds: float
    reused_from: int | None
    rendered_hash: bytes
    teacher_id: int
    prompt_id: int
    code_version: str
    link_id: int
    retrieval_id: int
    dataset_id: int
    dataset: str
    licence: str | None
    split_id: int
    config: str
    split: str
    ingest_id: int
    revision: str
    row_id: int
    source_index: int
    source_key: str | None
    row_hash: bytes
    retracted_at: dt.datetime | None
    row_erased: bool
    retractions: Sequence[int]

    @property
    def row(self) -> str:
        """The row as the command line calls it."""
        return f"row:{self.dataset}:{self.config}/{self.split}:{self.source_index}"


@dataclass(frozen=True, slots=True)
class Member:
    """A member at its place; the texts of an erased one are None.

    `makings` has its own first, then those of its parents, theirs, and so on.
    """

    position: int
    input: str | None
    output: str | None
    rationale: str | None
    makings: Sequence[Making]

    @property
    def own(self) -> Making:
        """How it was made itself."""
        return self.makings[0]

    @property
    def duties(self) -> list[Duty]:
        """What the licences of all rows behind it ask, from light to heavy."""
        return in_order(duty for making in self.makings for duty in read_licence(making.licence).duties)

    @property
    def retracted(self) -> bool:
        """Whether a row behind it is retracted."""
        return any(making.retracted_at is not None for making in self.makings)


def members(connection: Connection, training_set_id: int) -> Iterator[Member]:
    """The members of a set, a batch at a time in memory; the connection is busy until the last."""
    rows = connection.execute(
        text(named("export_members")),
        {"training_set_id": training_set_id},
        execution_options={"yield_per": _BATCH},
    ).mappings()
    for position, group in groupby(rows, key=lambda row: row["position"]):
        lines = list(group)
        first = lines[0]
        yield Member(
            position, first["input"], first["output"], first["rationale"], [_making(dict(line)) for line in lines]
        )


def _making(line: dict[str, Any]) -> Making:
    for key in ("position", "example_id", "input", "output", "rationale"):
        del line[key]
    return Making(example_id=line.pop("maker_id"), **line)
