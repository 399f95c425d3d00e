"""What a retraction reaches: the report that is shown before, when and after it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from rebase_db.reference import Reference, resolve
from rebase_db.retract.members import successor_command
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
    """A frozen set with examples of covered rows; `left` of its members have nothing retracted, by any retraction.

    `successor` is the newest set that repeats it without anything retracted. `command` makes one, where there is none
    and one is wanted: something of the set is retracted, and something is left.
    """

    training_set_id: int
    name: str
    task: str
    examples: int
    size: int
    share: float
    left: int
    successor: str | None
    command: str | None


@dataclass(frozen=True, slots=True)
class AffectedRun:
    """A training run that has learned from such examples, with what it was measured to do.

    By its own set, or by that of a run whose weights it started from: `size` is the number of all that it has learned
    from. A trained model has an artifact.
    """

    run: int
    training_set: str
    state: str
    examples: int
    size: int
    share: float
    parent: int | None
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

    def as_dict(self, *, erased: bool = False) -> dict[str, Any]:
        """Plain JSON, but for dates and decimals; with `erased`, what there was to erase goes by that name."""
        plain = asdict(self)
        if erased:
            plain["erased"] = plain.pop("to_erase")
        return plain


def find_record(connection: Connection, retraction_id: int) -> tuple[Record, tuple[int, ...]]:
    """A retraction on record, and the datasets that it withdrew whole.

    Raises:
        UnknownNameError: There is none of this number.
    """
    resolve(connection, Reference("retraction", str(retraction_id)))
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
    whole = select(RetractedDataset.dataset_id).where(RetractedDataset.retraction_id == retraction_id)
    return Record(**found.one()), tuple(connection.execute(whole.order_by(RetractedDataset.dataset_id)).scalars())


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
    # Only a retraction that was taken back covers what is not retracted, or not about to be.
    sets = _affected_sets(connection, rows("retraction_sets"), covered_too=record.undone_at is None)
    spent = rows("retraction_spent")[0]
    return Report(
        record,
        sum(each.rows for each in scope),
        scope,
        [TaskLoss(**row) for row in rows("retraction_tasks")],
        Spent(**spent | {"tokens": int(spent["tokens"])}),
        sets,
        [AffectedRun(**row) for row in rows("retraction_runs")],
        [Mirrors(**row) for row in rows("retraction_mirrors")],
        [Published(**row) for row in rows("retraction_published")],
        Erasure(**rows("erasure_counts")[0]),
    )


def _affected_sets(connection: Connection, found: list[dict[str, Any]], *, covered_too: bool) -> list[AffectedSet]:
    """The sets of `retraction_sets.sql`, with what is left of them, and what follows them."""
    if not found:
        return []
    followers: dict[int, list[int]] = {}
    names = {row["training_set_id"]: row["name"] for row in found}
    query = select(TrainingSet.training_set_id, TrainingSet.successor_of, TrainingSet.name)
    for set_id, before, name in connection.execute(query.where(TrainingSet.successor_of.is_not(None))):
        followers.setdefault(before, []).append(set_id)  # type: ignore[arg-type]
        names[set_id] = name
    after = {row["training_set_id"]: _all_after(row["training_set_id"], followers) for row in found}
    wanted = {"training_set_ids": sorted(after.keys() | set().union(*after.values())), "covered_too": covered_too}
    of = {row.training_set_id: row for row in connection.execute(text(named("retraction_left")), wanted)}
    sets = []
    for row in found:
        own = row["training_set_id"]
        newest_first = sorted(after[own], reverse=True)
        clean = next((each for each in newest_first if of[each].members_left == of[each].size), None)
        begin = None
        if clean is None and of[own].members_left < row["size"]:
            begin = next((each for each in (*newest_first, own) if of[each].members_left), None)
        sets.append(
            AffectedSet(
                **row,
                left=of[own].members_left,
                successor=None if clean is None else names[clean],
                command=None if begin is None else successor_command(names[begin]),
            )
        )
    return sets


def _all_after(set_id: int, followers: dict[int, list[int]]) -> set[int]:
    """The successors of a set, and theirs."""
    found: set[int] = set()
    waiting = [set_id]
    while waiting:
        after = followers.get(waiting.pop(), [])
        found.update(after)
        waiting += after
    return found
