"""The loads of a dataset, and what differs between two of them, or between two datasets."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text

from rebase_db.errors import UnknownNameError
from rebase_db.reference import Reference, resolve
from rebase_db.schema import Dataset, Ingest
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

ROWS_A_QUERY = 1000


@dataclass(frozen=True, slots=True)
class Release:
    """A dataset as of one of its loads."""

    dataset: str
    load: int
    dataset_id: int

    def __str__(self) -> str:
        return f"{self.dataset}@{self.load}"


@dataclass(frozen=True, slots=True)
class ColumnDifference:
    """A column that one side has otherwise; None where it has none. Config and split are empty between datasets."""

    config: str
    split: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that was added, changed or removed: where it stands and what it says, before and after."""

    kind: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    def cells(self) -> list[tuple[str, str | None, str | None]]:
        """The columns that differ, with both texts."""
        before = {} if self.before is None else self.before["content"]
        after = {} if self.after is None else self.after["content"]
        return [
            (column, before.get(column), after.get(column))
            for column in dict.fromkeys((*before, *after))
            if before.get(column) != after.get(column)
        ]


@dataclass(frozen=True, slots=True)
class LoadDifference:
    """What differs between two loads of one dataset: rows by split, the rows themselves, and columns."""

    a: Release
    b: Release
    splits: list[dict[str, Any]]
    columns: list[ColumnDifference]
    rows: list[RowDifference]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DatasetDifference:
    """What two datasets share: rows of equal content, each counted once, those of one alone, and columns by name."""

    a: Release
    b: Release
    equal: int
    only_in_a: int
    only_in_b: int
    columns: list[ColumnDifference]
    equal_rows: list[tuple[dict[str, Any], dict[str, Any]]]
    rows_of_a: list[dict[str, Any]]
    rows_of_b: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def loads(connection: Connection, dataset: str) -> list[dict[str, Any]]:
    """The loads of a dataset, a record a load and a split that it read.

    Raises:
        UnknownNameError: There is no such dataset.
    """
    (dataset_id,) = resolve(connection, Reference("dataset", dataset)).ids
    return [
        dict(row) for row in connection.execute(text(named("dataset_loads")), {"dataset_id": dataset_id}).mappings()
    ]


def find_release(connection: Connection, said: str) -> Release:
    """The release that `NAME@LOAD` means; `NAME` alone is its newest load.

    Raises:
        UnknownNameError: There is no such dataset, or no such load of it.
    """
    is_name = connection.execute(select(Dataset.name).where(Dataset.name == said)).first() is not None
    # A name may have an @ of its own.
    name, at, number = (said, "", "") if is_name or "@" not in said else said.rpartition("@")
    if at and not (number.isascii() and number.isdigit()):
        raise UnknownNameError(f"{said!r} does not end in the number of a load.", hint="Write NAME or NAME@LOAD.")
    (dataset_id,) = resolve(connection, Reference("dataset", name)).ids
    newest = connection.execute(select(func.max(Ingest.ingest_id)).where(Ingest.dataset_id == dataset_id)).scalar_one()
    if at:
        resolve(connection, Reference("load", f"{name}:{number}"))
    return Release(name, int(number) if at else newest, int(dataset_id))


def diff_loads(connection: Connection, a: Release, b: Release, most: int | None = None) -> LoadDifference:
    """What differs between two loads of one dataset, from `a` to `b`; of rows the first `most` a kind and split."""
    older, newer = sorted((a, b), key=lambda release: release.load)
    values = {"dataset_id": a.dataset_id, "before": older.load, "after": newer.load}
    turned = {"added": "removed", "removed": "added"} if a.load > b.load else {}
    counts: dict[tuple[str, str], dict[str, int]] = {}
    chosen: list[tuple[str, int | None, int | None]] = []
    for row in connection.execute(text(named("diff_loads")), values):
        kind = turned.get(row.kind, row.kind)
        none = {"added": 0, "changed": 0, "removed": 0, "unchanged": 0}
        of_split = counts.setdefault((row.config, row.split), none)
        of_split[kind] += row.number
        if kind != "unchanged" and (most is None or of_split[kind] <= most):
            ids = (row.before_id, row.after_id)
            chosen.append((kind, *(reversed(ids) if turned else ids)))
    known = _rows(connection, a.dataset_id, [row_id for _, *ids in chosen for row_id in ids if row_id is not None])
    return LoadDifference(
        a,
        b,
        [{"config": config, "split": split, **number} for (config, split), number in counts.items()],
        _differing(_columns(connection, a), _columns(connection, b)),
        [
            RowDifference(
                kind,
                None if before is None else known[before],
                None if after is None else known[after],
            )
            for kind, before, after in chosen
        ],
    )


def diff_datasets(connection: Connection, a: Release, b: Release, most: int | None = None) -> DatasetDifference:
    """What two datasets share and what not, of rows the first `most` of each kind."""
    values = {"dataset_a": a.dataset_id, "load_a": a.load, "dataset_b": b.dataset_id, "load_b": b.load}
    equal: list[tuple[int, int]] = []
    only: tuple[list[int], list[int]] = ([], [])
    counts = [0, 0, 0]
    for row in connection.execute(text(named("diff_datasets")), values):
        kind = 0 if row.a is not None and row.b is not None else 1 if row.b is None else 2
        counts[kind] += 1
        if most is not None and counts[kind] > most:
            continue
        if kind == 0:
            equal.append((row.a, row.b))
        else:
            only[kind - 1].append(row.a if kind == 1 else row.b)
    of_a = _rows(connection, a.dataset_id, [*(pair[0] for pair in equal), *only[0]])
    of_b = _rows(connection, b.dataset_id, [*(pair[1] for pair in equal), *only[1]])
    return DatasetDifference(
        a,
        b,
        equal=counts[0],
        only_in_a=counts[1],
        only_in_b=counts[2],
        columns=_differing(_by_name(_columns(connection, a)), _by_name(_columns(connection, b))),
        equal_rows=[(of_a[one], of_b[other]) for one, other in equal],
        rows_of_a=[of_a[row_id] for row_id in only[0]],
        rows_of_b=[of_b[row_id] for row_id in only[1]],
    )


_Columns = dict[tuple[str, str, str], str]


def _columns(connection: Connection, release: Release) -> _Columns:
    values = {"dataset_id": release.dataset_id, "ingest_id": release.load}
    found = connection.execute(text(named("columns_at_load")), values)
    return {(row.config, row.split, row.name): row.kind for row in found}


def _by_name(columns: _Columns) -> _Columns:
    """The columns of a dataset whatever their split, with each of their types."""
    kinds: dict[str, dict[str, None]] = {}
    for (_, _, name), kind in columns.items():
        kinds.setdefault(name, {})[kind] = None
    return {("", "", name): ", ".join(sorted(found)) for name, found in kinds.items()}


def _differing(a: _Columns, b: _Columns) -> list[ColumnDifference]:
    return [ColumnDifference(*key, a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)]


def _rows(connection: Connection, dataset_id: int, row_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Where rows stand and what they say, by number."""
    found: dict[int, dict[str, Any]] = {}
    for first in range(0, len(row_ids), ROWS_A_QUERY):
        values = {"dataset_id": dataset_id, "row_ids": list(row_ids[first : first + ROWS_A_QUERY])}
        for row in connection.execute(text(named("rows_by_number")), values).mappings():
            found[row["row_id"]] = dict(row)
    return found
