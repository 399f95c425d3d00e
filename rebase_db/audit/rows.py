"""Source rows by the names that publishers give them, and what is in them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, func, or_, select

from rebase_db.reference import decimal
from rebase_db.schema import Dataset, DatasetSplit, SourceRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from rebase_db.audit.published import RowKey

RowId = tuple[int, int]
"""`(dataset_id, row_id)`."""

_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """A source row: its content without nulls, and the hash of that. `erased`: only hashes of its texts are left."""

    content: Mapping[str, str]
    content_hash: bytes
    erased: bool


def resolve(connection: Connection, keys: Iterable[RowKey]) -> dict[RowKey, RowId]:
    """The rows that keys name, without those that name none or more than one.

    A row goes by its `source_key`; where rows have none, and where the key names the split, by its `source_index`.
    """
    by_dataset: dict[str, list[RowKey]] = defaultdict(list)
    for key in keys:
        by_dataset[key.dataset].append(key)
    datasets = connection.execute(select(Dataset.dataset_id, Dataset.name).where(Dataset.name.in_(by_dataset)))
    found: dict[RowKey, RowId] = {}
    for dataset_id, name in datasets.all():
        found |= _resolve_in(connection, dataset_id, by_dataset[name])
    return found


def _resolve_in(connection: Connection, dataset_id: int, keys: list[RowKey]) -> dict[RowKey, RowId]:
    splits = connection.execute(
        select(DatasetSplit.split_id, DatasetSplit.config, DatasetSplit.split).where(
            DatasetSplit.dataset_id == dataset_id
        )
    ).all()
    places = {key.row: decimal(key.row) for key in keys}
    numbers = [number for number in places.values() if number is not None and number <= _MOST]
    rows = connection.execute(
        select(SourceRow.row_id, SourceRow.split_id, SourceRow.source_key, SourceRow.source_index).where(
            SourceRow.dataset_id == dataset_id,
            or_(
                SourceRow.source_key == func.any([key.row for key in keys]),
                and_(
                    SourceRow.source_index == func.any(numbers),
                    or_(SourceRow.source_key.is_(None), SourceRow.split_id.in_(_named_splits(keys, splits))),
                ),
            ),
        )
    ).all()
    by_key: dict[tuple[int, str], list[int]] = defaultdict(list)
    by_index: dict[tuple[int, int | None], list[int]] = defaultdict(list)
    unkeyed: dict[tuple[int, int | None], list[int]] = defaultdict(list)
    for row_id, split_id, source_key, source_index in rows:
        by_index[split_id, source_index].append(row_id)
        if source_key is None:
            unkeyed[split_id, source_index].append(row_id)
        else:
            by_key[split_id, source_key].append(row_id)
    found: dict[RowKey, RowId] = {}
    for key in keys:
        place = places[key.row]
        of_key: list[int] = []
        for split_id, config, split in splits:
            if key.config not in {None, config} or key.split not in {None, split}:
                continue
            if key.split is not None:
                of_key += by_index.get((split_id, place), [])
            else:
                of_key += by_key.get((split_id, key.row)) or unkeyed.get((split_id, place), [])
        if len(of_key) == 1:
            found[key] = (dataset_id, of_key[0])
    return found


def _named_splits(keys: Iterable[RowKey], splits: Iterable[tuple[int, str, str]]) -> list[int]:
    named = {(key.config, key.split) for key in keys if key.split is not None}
    return [split_id for split_id, config, split in splits if (config, split) in named]


def fetch(connection: Connection, ids: Iterable[RowId]) -> dict[RowId, Row]:
    """What is in rows."""
    by_dataset: dict[int, list[int]] = defaultdict(list)
    for dataset_id, row_id in ids:
        by_dataset[dataset_id].append(row_id)
    found: dict[RowId, Row] = {}
    for dataset_id, row_ids in by_dataset.items():
        rows = connection.execute(
            select(SourceRow.row_id, SourceRow.content, SourceRow.content_hash, SourceRow.erased_by).where(
                SourceRow.dataset_id == dataset_id, SourceRow.row_id == func.any(row_ids)
            )
        )
        for row_id, content, digest, erased_by in rows:
            found[dataset_id, row_id] = Row(content, bytes(digest), erased_by is not None)
    return found


def of_datasets(connection: Connection, names: Iterable[str]) -> list[RowId]:
    """All rows of datasets, in the order of their loading."""
    rows = connection.execute(
        select(SourceRow.dataset_id, SourceRow.row_id)
        .join(Dataset, Dataset.dataset_id == SourceRow.dataset_id)
        .where(Dataset.name.in_(list(names)), SourceRow.retracted_at.is_(None))
        .order_by(SourceRow.dataset_id, SourceRow.row_id)
    )
    return [(dataset_id, row_id) for dataset_id, row_id in rows]
