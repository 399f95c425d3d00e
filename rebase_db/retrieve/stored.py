"""The part scores that a task has: as they are stored, less the rows that compete no more, and with new ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rebase_db.database.copy import FLOAT4, INT2, INT4, driver
from rebase_db.retrieve.corpus import datasets_of, ids_of, keys_of
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from rebase_db.retrieve.corpus import Keys
    from rebase_db.retrieve.score import DatasetScores

NOT_STORED = 0
_OF_ROWS = ("input_scores", "output_scores", "input_columns", "output_columns")


@dataclass(frozen=True, slots=True)
class TaskScores:
    """Part scores of rows for one task, ordered by dataset and row.

    Attributes:
        keys: Shape (rows,): dataset and row.
        dataset_ids: Shape (datasets,): those of the keys, ascending.
        dataset_scores: Shape (datasets,).
        stored_by: Shape (datasets,): the retrieval under which a dataset's scores are stored just so, or NOT_STORED.
        anew: Shape (datasets,): how many of its rows were scored anew.
        input_scores: Shape (rows,).
        output_scores: Shape (rows,).
        input_columns: Shape (rows,).
        output_columns: Shape (rows,).
    """

    keys: Keys
    dataset_ids: NDArray[np.int32]
    dataset_scores: NDArray[np.float32]
    stored_by: NDArray[np.int32]
    anew: NDArray[np.int64]
    input_scores: NDArray[np.float32]
    output_scores: NDArray[np.float32]
    input_columns: NDArray[np.int16]
    output_columns: NDArray[np.int16]

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Shape (datasets + 1,): where the rows of each dataset begin, and the end."""
        starts = np.searchsorted(self.keys, keys_of(self.dataset_ids, np.zeros(1, np.int64)))
        return np.append(starts, len(self.keys))

    @property
    def row_ids(self) -> NDArray[np.int32]:
        """Shape (rows,)."""
        return ids_of(self.keys)

    def without(self, gone: Keys) -> TaskScores:
        """Less the rows of `gone`."""
        kept = ~among(self.keys, gone)
        if kept.all():
            return self
        left = np.diff(np.append(0, np.cumsum(kept))[self.bounds])
        stay = left > 0
        shorter = left < np.diff(self.bounds)
        return TaskScores(
            self.keys[kept],
            self.dataset_ids[stay],
            self.dataset_scores[stay],
            np.where(shorter, NOT_STORED, self.stored_by)[stay],
            self.anew[stay],
            *(getattr(self, name)[kept] for name in _OF_ROWS),
        )

    def as_stored(self, retrieval_id: int) -> TaskScores:
        """The same, once a retrieval has stored what is not yet."""
        stored_by = np.where(self.stored_by == NOT_STORED, retrieval_id, self.stored_by).astype(np.int32)
        return replace(self, stored_by=stored_by, anew=np.zeros_like(self.anew))

    def merged(self, scored: Scored, place: int) -> TaskScores:
        """With those of the rows scored that are not in it yet, for the task at `place`."""
        new = ~among(scored.keys, self.keys)
        if not new.any():
            return self
        if len(self.keys):
            keys = np.concatenate([self.keys, scored.keys[new]])
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            of_task = ((getattr(self, name), getattr(scored, name)[place][new]) for name in _OF_ROWS)
            parts = [np.concatenate(sides)[order] for sides in of_task]
        else:  # without a copy
            keys, parts = scored.keys, [getattr(scored, name)[place] for name in _OF_ROWS]
        grown, anew = np.unique(datasets_of(scored.keys[new]), return_counts=True)
        dataset_ids = np.union1d(self.dataset_ids, grown)
        before, now = np.searchsorted(dataset_ids, self.dataset_ids), np.searchsorted(dataset_ids, grown)
        dataset_scores = np.empty(len(dataset_ids), np.float32)
        dataset_scores[now] = scored.dataset_scores[place][np.searchsorted(scored.dataset_ids, grown)]
        dataset_scores[before] = self.dataset_scores  # of a description, which does not change
        stored_by, counts = np.full(len(dataset_ids), NOT_STORED, np.int32), np.zeros(len(dataset_ids), np.int64)
        stored_by[before] = self.stored_by
        stored_by[now] = NOT_STORED
        counts[now] = anew
        return TaskScores(keys, dataset_ids, dataset_scores, stored_by, counts, *parts)


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows that were scored, for T tasks: as `TaskScores`, with T in front of each shape."""

    keys: Keys
    input_scores: NDArray[np.float32]
    output_scores: NDArray[np.float32]
    input_columns: NDArray[np.int16]
    output_columns: NDArray[np.int16]
    dataset_ids: NDArray[np.int32]
    dataset_scores: NDArray[np.float32]


def join(parts: Sequence[DatasetScores], tasks: int) -> Scored:
    """Scores of datasets, as one."""

    def side(name: str, kind: type[np.generic]) -> NDArray[Any]:
        found = [getattr(part, name) for part in parts]
        return np.concatenate(found, axis=1) if found else np.empty((tasks, 0), kind)

    return Scored(
        np.concatenate([keys_of(part.dataset_id, part.row_ids) for part in parts]) if parts else np.empty(0, np.int64),
        side("input_scores", np.float32),
        side("output_scores", np.float32),
        side("input_columns", np.int16),
        side("output_columns", np.int16),
        np.array([part.dataset_id for part in parts], np.int32),
        np.stack([part.dataset_scores for part in parts], axis=1) if parts else np.empty((tasks, 0), np.float32),
    )


def read_scores(connection: Connection, task_version_id: int, encoder_id: int) -> TaskScores:
    """What is stored of a task version under an encoder."""
    lane = {"task_version_id": task_version_id, "encoder_id": encoder_id}
    with driver(connection).cursor(binary=True) as cursor:
        found = cursor.execute(named("stored_scores"), lane).fetchone() or (b"",) * 9
    dataset_ids, lengths, stored_by, dataset_scores, row_ids, *parts = found
    datasets = _numbers(dataset_ids, INT4)
    return TaskScores(
        keys_of(np.repeat(datasets, _numbers(lengths, INT4)), _elements(row_ids, INT4)),
        datasets,
        _numbers(dataset_scores, FLOAT4),
        _numbers(stored_by, INT4),
        np.zeros(len(datasets), np.int64),
        *(_elements(part, kind) for part, kind in zip(parts, (FLOAT4, FLOAT4, INT2, INT2), strict=True)),
    )


def among(keys: Keys, others: Keys) -> NDArray[np.bool_]:
    """Which of `keys` are in `others`, which ascend."""
    if not len(others):
        return np.zeros(len(keys), bool)
    places = np.minimum(np.searchsorted(others, keys), len(others) - 1)
    found: NDArray[np.bool_] = others[places] == keys
    return found


def share_keys(scores: TaskScores, others: TaskScores | None) -> TaskScores:
    """The same, holding the keys of another task's where they are the same: most tasks have scored the same rows."""
    if others is not None and np.array_equal(scores.keys, others.keys):
        return replace(scores, keys=others.keys)
    return scores


def _numbers(sent: bytes, kind: str) -> NDArray[Any]:
    found = np.frombuffer(sent, kind)
    return found.astype(found.dtype.newbyteorder("="))


def _elements(sent: bytes, kind: str) -> NDArray[Any]:
    """The elements of arrays as `array_send` writes them, each with its length in front."""
    record = np.dtype([("length", INT4), ("value", kind)])
    return np.frombuffer(sent, record)["value"].astype(record["value"].newbyteorder("="))
