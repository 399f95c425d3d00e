"""A task's rows with the part scores that its newest retrieval kept, to be ranked again: no vector is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import or_, select

from rebase_db.database.copy import driver
from rebase_db.retrieve.rank import NO_MIRROR, Candidates
from rebase_db.schema import SourceRow
from rebase_db.sql import named

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import Connection

_ARRAY_HEAD = 20  # dimensions, flags, type, length, first index


def stored_candidates(connection: Connection, task_version_id: int, encoder_id: int) -> Candidates:
    """The rows that are scored for a task version and live now; columns are not read, and are all 0."""
    parts: dict[str, list[NDArray[Any]]] = {"rows": [], "inputs": [], "outputs": []}
    dataset_ids, dataset_scores = [], []
    with driver(connection).cursor(binary=True) as cursor:
        lane = {"task_version_id": task_version_id, "encoder_id": encoder_id}
        for dataset_id, dataset_score, rows, inputs, outputs in cursor.execute(named("part_scores"), lane):
            dataset_ids.append(dataset_id)
            dataset_scores.append(dataset_score)
            for name, sent, kind in (("rows", rows, ">i4"), ("inputs", inputs, ">f4"), ("outputs", outputs, ">f4")):
                parts[name].append(_elements(sent, kind))
    lengths = [len(rows) for rows in parts["rows"]]
    row_ids = _joined(parts["rows"], np.int32)
    of_rows = np.repeat(np.array(dataset_ids, np.int32), lengths)
    columns = np.zeros(len(row_ids), np.int16)
    candidates = Candidates(
        of_rows,
        row_ids,
        _joined(parts["inputs"], np.float32),
        _joined(parts["outputs"], np.float32),
        columns,
        columns,
        np.repeat(np.array(dataset_scores, np.float32), lengths),
        _mirror_groups(connection, row_keys(of_rows, row_ids)),
    )
    gone = select(SourceRow.dataset_id, SourceRow.row_id).where(
        or_(SourceRow.retracted_at.is_not(None), SourceRow.removed_at.is_not(None))
    )
    return candidates.without([(dataset_id, row_id) for dataset_id, row_id in connection.execute(gone)])


def row_keys(dataset_ids: NDArray[Any], row_ids: NDArray[Any]) -> NDArray[np.int64]:
    """A number for each row, in the order of dataset and row id."""
    return dataset_ids.astype(np.int64) << 32 | row_ids.astype(np.int64)


def _mirror_groups(connection: Connection, keys: NDArray[np.int64]) -> NDArray[np.int64]:
    with driver(connection).cursor(binary=True) as cursor:
        found = np.array(cursor.execute(named("mirror_groups")).fetchall(), np.int64).reshape(-1, 3)
    groups = np.full(len(keys), NO_MIRROR, np.int64)
    if len(found) and len(keys):
        wanted = row_keys(found[:, 0], found[:, 1])
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        scored = keys[places] == wanted
        groups[places[scored]] = found[scored, 2]
    return groups


def _elements(sent: bytes, kind: str) -> NDArray[Any]:
    """The elements of an array without nulls, as `array_send` writes it."""
    record = np.dtype([("length", ">i4"), ("value", kind)])
    return np.frombuffer(sent[_ARRAY_HEAD:], record)["value"].astype(record["value"].newbyteorder("="))


def _joined(parts: list[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, kind)
