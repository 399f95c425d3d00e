"""What a retraction reaches: the report that is shown before, when and after it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from rebase_db.errors import UnknownNameError
from rebase_db.retract.members import retracted_members, successor_command
from rebase_db.retract.target import cover_again
from rebase_db.schema import RetractedDataset, Retraction, TrainingSet
from rebase_db.sql import named

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from decimal import Decimal

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Scope:
    """One dataset's rows that are covered; `whole`: the dataset is withdrawn, whatever might be loaded into it."""

    dataset: str
    licence: str
    rows: int
    rows_there: int
    rows_retracted_otherwise: int
    whole: bool


@dataclass(frozen=True, slots=True)
class TaskLoss:
    """What a task's present ranking loses: links, and of these accepted, waiting for their answer, and in hand."""

    task: str
    links: int
    accepted: int
    waiting: int
    in_hand: int


@dataclass(frozen=True, slots=True)
class AffectedSet:
    """A frozen set with examples of covered rows.

    `successor` is the newest set that repeats it without anything retracted; `command` makes one, where there is none.
    """

    training_set_id: int
    name: str
    task: str
    examples: int
    size: int
    share: float
    successor: str | None
    command: str | None


@dataclass(frozen=True, slots=True)
class AffectedRun:
    """A training run on such a set, with what it was measured to do; a trained model has an artifact."""

    run: int
    training_set: str
    state: str
    examples: int
    size: int
    share: float
    student: str
    base: str
    finished_at: dt.datetime | None
    artifact_path: str | None
    artifact_hash: str | None
    scores: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Spent:
    """What was made of covered rows and what that took; the cost is None where no price is known."""

    examples: int
    calls: int
    judgements: int
    tokens: int
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Rows of a dataset that stay although they have the content of a covered one."""

    dataset: str
    licence: str
    rows: int


@dataclass(frozen=True, slots=True)
class Published:
    """Published data that may stem from covered rows.

    `stated` examples do so by their publisher's word, `guessed` ones by a guess only, of which `surest_guess` is the
    highest confidence; `ranks` are places in the published ranking.
    """

    publication: str
    task: str
    stated: int
    guessed: int
    surest_guess: float | None
    ranks: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is there to erase of covered rows: nothing any more once that was done.

    `texts_kept` stay because rows that are not covered have them too, or because they describe their dataset.
    """

    rows: int
    texts: int
    texts_kept: int
    vectors: int
    calls: int
    examples: int
    judgements: int


@dataclass(frozen=True, slots=True)
class Record:
    """A retraction as it is on record; `retraction` is None where it would only be made."""

    retraction: int | None
    kind: str
    target: str
    mirrors: bool
    reason: str
    asked_by: str
    created_at: dt.datetime | None = None
    undone_at: dt.datetime | None = None
    undo_reason: str | None = None
    erased_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All that a retraction reaches, as of now."""

    record: Record
    rows: int
    datasets: list[Scope]
    tasks: list[TaskLoss]
    spent: Spent
    sets: list[AffectedSet]
    runs: list[AffectedRun]
    mirrors_that_stay: list[Mirrors]
    published: list[Published]
    to_erase: Erasure = field(default_factory=lambda: Erasure(0, 0, 0, 0, 0, 0, 0))

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON, but for dates and decimals."""
        return asdict(self)


def find_record(connection: Connection, retraction_id: int) -> tuple[Record, tuple[int, ...]]:
    """A retraction on record, and the datasets that it withdrew whole.

    Raises:
        UnknownNameError: There is none of this number.
    """
    found = connection.execute(
        select(
            Retraction.retraction_id.label("retraction"),
            Retraction.kind,
            Retraction.target,
            Retraction.mirrors,
            Retraction.reason,
            Retraction.asked_by,
            Retraction.created_at,
            Retraction.undone_at,
            Retraction.undo_reason,
            Retraction.erased_at,
        ).where(Retraction.retraction_id == retraction_id)
    ).mappings()
    row = found.one_or_none()
    if row is None:
        raise UnknownNameError(
            f"There is no retraction {retraction_id}.", hint="`rebase retract list` shows those there are."
        )
    whole = select(RetractedDataset.dataset_id).where(RetractedDataset.retraction_id == retraction_id)
    return Record(**row), tuple(connection.execute(whole.order_by(RetractedDataset.dataset_id)).scalars())


def report_on(connection: Connection, retraction_id: int) -> Report:
    """The report on a retraction, as of now.

    Raises:
        UnknownNameError: There is none of this number.
    """
    record, dataset_ids = find_record(connection, retraction_id)
    cover_again(connection, retraction_id, dataset_ids)
    return report_covered(connection, record, dataset_ids)


def report_covered(connection: Connection, record: Record, dataset_ids: Sequence[int]) -> Report:
    """The report on what the work tables cover; `dataset_ids` are the datasets that are withdrawn whole."""

    def rows(name: str, **values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(text(named(name)), values).mappings()]

    scope = [
        Scope(**row) for row in rows("retraction_scope", dataset_ids=list(dataset_ids), retraction_id=record.retraction)
    ]
    found = rows("retraction_sets")
    successors = _Successors(connection, {row["training_set_id"] for row in found})
    sets = [
        AffectedSet(
            **row,
            successor=successors.clean(row["training_set_id"]),
            command=successors.command(row["training_set_id"], row["name"]),
        )
        for row in found
    ]
    of_set = {each.training_set_id: each for each in sets}
    runs = []
    for row in rows("retraction_runs", training_set_ids=list(of_set)):
        own = of_set[row.pop("training_set_id")]
        runs.append(AffectedRun(training_set=own.name, examples=own.examples, size=own.size, share=own.share, **row))
    spent = rows("retraction_spent")[0]
    return Report(
        record,
        sum(each.rows for each in scope),
        scope,
        [TaskLoss(**row) for row in rows("retraction_tasks")],
        Spent(**spent | {"tokens": int(spent["tokens"])}),
        sets,
        runs,
        [Mirrors(**row) for row in rows("retraction_mirrors")],
        [Published(**row) for row in rows("retraction_published")],
        Erasure(**rows("erasure_counts")[0]),
    )


class _Successors:
    """Which sets follow those with covered examples, and which of them have nothing retracted."""

    def __init__(self, connection: Connection, affected: set[int]) -> None:
        self._connection = connection
        self._affected = affected
        self._next: dict[int, list[int]] = {}
        self._names: dict[int, str] = {}
        followers = select(TrainingSet.training_set_id, TrainingSet.successor_of, TrainingSet.name)
        for set_id, before, name in connection.execute(followers.where(TrainingSet.successor_of.is_not(None))):
            if before is not None:
                self._next.setdefault(before, []).append(set_id)
            self._names[set_id] = name

    def command(self, set_id: int, name: str) -> str | None:
        """What makes one without anything retracted, from the newest that there is; None where one is clean."""
        if self.clean(set_id) is not None:
            return None
        return successor_command(self._names[max(self._all(set_id))] if self._all(set_id) else name)

    def clean(self, set_id: int) -> str | None:
        """The newest without anything retracted."""
        for each in reversed(self._all(set_id)):
            if each not in self._affected and not retracted_members(self._connection, each):
                return self._names[each]
        return None

    def _all(self, set_id: int) -> list[int]:
        found: list[int] = []
        waiting = [set_id]
        while waiting:
            after = self._next.get(waiting.pop(), [])
            found += after
            waiting += after
        return sorted(found)
