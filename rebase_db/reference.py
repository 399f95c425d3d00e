"""References: what a record is called on the command line, `kind:key`, and which record that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, String, cast, func, literal, select

from rebase_db.errors import UnknownNameError, did_you_mean
from rebase_db.schema import Base, Dataset, DatasetSplit, Ingest, SourceRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

NAMED = {"dataset": "dataset", "set": "training_set", "task": "task", "publication": "publication"}
"""Kinds that go by a name, with their tables."""

NUMBERED = {
    "link": "retrieval_link",
    "call": "generation",
    "example": "example",
    "judgement": "judgement",
    "run": "training_run",
    "benchmark": "benchmark",
    "evaluation": "evaluation",
    "teacher": "teacher",
    "prompt": "prompt",
    "encoder": "encoder",
    "retrieval": "retrieval",
    "published": "published_example",
    "retraction": "retraction",
}
"""Kinds that go by a number, with their tables."""

FORMS = {
    "dataset": "dataset:NAME",
    "licence": "licence:TEXT",
    "load": "load:DATASET:NUMBER",
    "row": "row:DATASET:CONFIG/SPLIT:INDEX[@LOAD]",
    **{kind: f"{kind}:NUMBER" for kind in NUMBERED},
    **{kind: f"{kind}:NAME" for kind in NAMED if kind != "dataset"},
}
"""How a reference of each kind is written."""

UNKNOWN_LICENCE = "unknown"
"""What stands for a dataset whose licence nobody has stated."""

_OTHER_WORDS = {"license": "licence", "generation": "call", "ingest": "load"}
_MOST = 2**63 - 1
_MOST_DIGITS = 100


@dataclass(frozen=True)
class Reference:
    """A record by its kind and its key within the kind, as written."""

    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"


@dataclass(frozen=True)
class Node:
    """A record that is there.

    Args:
        reference: What it is called, in full: of a row always with config and split, and with its load where a later
            one brought another row to the same place.
        ids: Its key in the database: of a row `(dataset_id, row_id)`, of a load `(dataset_id, ingest_id)`, of a licence
            its text, of any other its number.
    """

    reference: Reference
    ids: tuple[int, ...] | tuple[str]

    @property
    def kind(self) -> str:
        """The reference's kind."""
        return self.reference.kind

    @property
    def key(self) -> str:
        """The key that functions of the schema `lineage` take: the ids, with a slash between."""
        return "/".join(map(str, self.ids))


def parse(text: str, kinds: Sequence[str] = tuple(FORMS)) -> Reference:
    """A reference from its text; whether there is such a record is not looked at.

    Args:
        text: As `example:17` or `row:letters:default/train:3`.
        kinds: The kinds that are meant.

    Raises:
        UnknownNameError: It is no reference, or one of another kind.
    """
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UnknownNameError(f"{text!r} has bytes that are no UTF-8, as no name here does.")
    kind, colon, key = text.strip().partition(":")
    kind, key = _OTHER_WORDS.get(kind.lower(), kind.lower()), key.strip()
    ways = ", ".join(FORMS[each] for each in kinds)
    if not colon or not key:
        # A kind alone, or a name or number without its kind.
        shown = FORMS.get(kind, "") if kind in kinds else ways
        raise UnknownNameError(f"{text!r} does not say what is meant as KIND:KEY.", hint=f"Write {shown}.")
    if kind not in kinds:
        what = "is not meant here" if kind in FORMS else "is not a kind of record"
        guess = "" if kind in FORMS else did_you_mean(kind, list(kinds))
        raise UnknownNameError(f"{kind!r} in {text!r} {what}.", hint=guess or f"Write {ways}.")
    if kind in NUMBERED:
        number = decimal(key)
        if number is None:
            raise UnknownNameError(
                f"{text!r} should end in a number, which {key!r} is not.", hint=f"Write {FORMS[kind]}."
            )
        key = str(number)
    elif (kind == "load" and decimal(key.rpartition(":")[2]) is None) or (kind == "row" and _place(key) is None):
        raise UnknownNameError(f"{text!r} does not end in a number.", hint=f"Write {FORMS[kind]}.")
    return Reference(kind, key)


def resolve(connection: Connection, reference: Reference) -> Node:
    """The record that a reference means.

    Raises:
        UnknownNameError: There is none; the hint says which there are.
    """
    if reference.kind in NAMED:
        return _named(connection, reference)
    if reference.kind in NUMBERED:
        return _numbered(connection, reference)
    return {"licence": _licence, "load": _load, "row": _row}[reference.kind](connection, reference)


def find(connection: Connection, text: str, kinds: Sequence[str] = tuple(FORMS)) -> Node:
    """The record that a text means: `parse` and `resolve`.

    Raises:
        UnknownNameError: The text is no reference, or there is no such record.
    """
    return resolve(connection, parse(text, kinds))


def _named(connection: Connection, reference: Reference) -> Node:
    table = Base.metadata.tables[NAMED[reference.kind]]
    key = table.primary_key.columns[0]
    found = connection.execute(select(key).where(table.c.name == reference.key)).scalar_one_or_none()
    if found is None:
        names = connection.execute(select(table.c.name)).scalars().all()
        hint = did_you_mean(reference.key, list(names)) if names else f"There is no {reference.kind} yet."
        raise UnknownNameError(f"There is no {reference.kind} {reference.key!r}.", hint=hint)
    return Node(reference, (found,))


def _numbered(connection: Connection, reference: Reference) -> Node:
    table = Base.metadata.tables[NUMBERED[reference.kind]]
    key, number = table.primary_key.columns[0], int(reference.key)
    # As a large number, also where keys are small ones.
    asked = select(key).where(key == literal(number, BigInteger))
    if not 0 <= number <= _MOST or connection.execute(asked).first() is None:
        low, high = connection.execute(select(func.min(key), func.max(key))).one()
        raise _no_number(reference.kind, reference.key, low, high)
    return Node(reference, (number,))


STATED_LICENCE = func.coalesce(Dataset.licence, UNKNOWN_LICENCE)
"""The licence of a dataset as commands take it."""


def datasets_under(connection: Connection, licence: str) -> tuple[int, ...]:
    """The numbers of the datasets that have a licence now, or that have none stated."""
    found = select(Dataset.dataset_id).where(literal(licence) == STATED_LICENCE).order_by(Dataset.dataset_id)
    return tuple(connection.execute(found).scalars())


def _licence(connection: Connection, reference: Reference) -> Node:
    known = connection.execute(select(STATED_LICENCE).distinct()).scalars().all()
    if reference.key not in known:
        hint = did_you_mean(reference.key, list(known))
        raise UnknownNameError(f"No dataset has the licence {reference.key!r}.", hint=hint)
    return Node(reference, (reference.key,))


def _load(connection: Connection, reference: Reference) -> Node:
    name, _, number = reference.key.rpartition(":")
    (dataset_id,) = _named(connection, Reference("dataset", name)).ids
    known = connection.execute(select(Ingest.ingest_id).where(Ingest.dataset_id == dataset_id)).scalars().all()
    if int(number) not in known:
        raise _no_number("load", f"{number} of {name}", min(known, default=None), max(known, default=None))
    return Node(Reference("load", f"{name}:{int(number)}"), (int(dataset_id), int(number)))


def _row(connection: Connection, reference: Reference) -> Node:
    """The row; a dataset's name may hold colons and slashes itself, so the database decides where it ends.

    Without a load it is the row that the last load which had one brought to the place.
    """
    place, _, index = reference.key.rpartition(":")
    name, _, split = place.rpartition(":")
    written = DatasetSplit.config + "/" + DatasetSplit.split
    splits = connection.execute(
        select(Dataset.dataset_id, Dataset.name, DatasetSplit.split_id, written.label("split"))
        .join(DatasetSplit)
        .where(((Dataset.name == name) & (written == split)) | (Dataset.name == place))
        .order_by(Dataset.name == place, DatasetSplit.split_id)
    ).all()
    if not splits:
        raise _no_split(connection, place, name, split)
    if len(splits) > 1 and splits[0].name == place:
        ways = ", ".join(f"row:{each.name}:{each.split}:{index}" for each in splits[:8])
        raise UnknownNameError(f"{place} has {len(splits)} splits, and {reference} names none.", hint=f"Write {ways}.")
    chosen = splits[0]
    of_split = (SourceRow.dataset_id == chosen.dataset_id) & (SourceRow.split_id == chosen.split_id)
    number, load = _place(reference.key) or (0, None)
    query = (
        select(SourceRow.row_id, SourceRow.ingest_id)
        .where(of_split, SourceRow.source_index == number)
        .order_by(SourceRow.ingest_id.desc())
    )
    found = [] if number > _MOST else connection.execute(query).all()
    if not found:
        indexes = select(func.min(SourceRow.source_index), func.max(SourceRow.source_index)).where(of_split)
        low, high = connection.execute(indexes).one()
        raise _no_number("row", f"{number} of {chosen.name} {chosen.split}", low, high)
    row = next((each for each in found if load in {None, each.ingest_id}), None)
    if row is None:
        loads = ", ".join(str(each.ingest_id) for each in reversed(found))
        raise UnknownNameError(
            f"Load {load} brought no row {number} of {chosen.name} {chosen.split}.", hint=f"Such are of load {loads}."
        )
    of_load = "" if row is found[0] else f"@{row.ingest_id}"
    return Node(Reference("row", f"{chosen.name}:{chosen.split}:{number}{of_load}"), (chosen.dataset_id, row.row_id))


def _no_split(connection: Connection, place: str, name: str, split: str) -> UnknownNameError:
    written = DatasetSplit.config + "/" + DatasetSplit.split
    known = connection.execute(select(cast(written, String)).join(Dataset).where(Dataset.name == name)).scalars().all()
    if known:
        return UnknownNameError(f"{name} has no split {split!r}.", hint=did_you_mean(split, list(known)))
    if not place:
        return UnknownNameError("The reference to a row names no dataset.", hint=f"Write {FORMS['row']}.")
    names = connection.execute(select(Dataset.name)).scalars().all()
    hint = did_you_mean(name or place, list(names)) or f"Write {FORMS['row']}."
    return UnknownNameError(f"There is no dataset {name or place!r}.", hint=hint)


def _no_number(what: str, number: str, low: int | None, high: int | None) -> UnknownNameError:
    if low is None or high is None:
        known = "There is none yet."
    elif low == high:
        known = f"There is only {low}."
    else:
        # Not every number between must be there: some are spent by what was rolled back or left out.
        known = f"They are numbered from {low} to {high}."
    return UnknownNameError(f"There is no {what} {number}.", hint=known)


def decimal(text: str) -> int | None:
    """The whole number that decimal digits stand for, where they are no more than any key or place could have."""
    # Not int(): it takes signs, underscores and digits of other scripts, and raises for thousands of digits.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _place(key: str) -> tuple[int, int | None] | None:
    """The index and the load at the end of a row's key, `INDEX` or `INDEX@LOAD`; None where it ends otherwise."""
    index, at, load = key.rpartition(":")[2].partition("@")
    number, of_load = decimal(index), decimal(load)
    return None if number is None or bool(at) != (of_load is not None) else (number, of_load)
