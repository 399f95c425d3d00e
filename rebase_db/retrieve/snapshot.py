"""The corpus as of one moment, and the part scores of its rows for tasks: those stored, and new ones of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import func, select

from rebase_db.database.copy import driver
from rebase_db.retract.lock import changes_so_far
from rebase_db.retrieve.corpus import keys_of, read_live, require_embedded
from rebase_db.retrieve.rank import Candidates
from rebase_db.retrieve.score import score_rows
from rebase_db.retrieve.stored import among, join, read_scores, share_keys
from rebase_db.schema import Ingest
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

    from rebase_db.retrieve.corpus import Keys
    from rebase_db.retrieve.query_vectors import QueryVectors
    from rebase_db.retrieve.stored import TaskScores


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What does not depend on the task: which rows are mirrors of others, and how old the corpus was.

    Attributes:
        mirrored: Keys of the rows that have mirrors, ascending.
        mirror_groups: Of each of them a number that it has in common with its mirrors.
        changes_seen: How many retractions, and returns from one, there were.
        loads_seen: How many loads.
    """

    mirrored: Keys
    mirror_groups: NDArray[np.int64]
    changes_seen: int
    loads_seen: int

    def candidates(self, scores: TaskScores) -> Candidates:
        """The rows as candidates of a task."""
        groups = np.zeros(len(scores.keys), np.int64)
        # A row without cells is not scored and has no place.
        found = among(self.mirrored, scores.keys)
        groups[np.searchsorted(scores.keys, self.mirrored[found])] = self.mirror_groups[found]
        lengths = np.diff(scores.bounds)
        return Candidates(
            np.repeat(scores.dataset_ids, lengths),
            scores.row_ids,
            scores.input_scores,
            scores.output_scores,
            scores.input_columns,
            scores.output_columns,
            np.repeat(scores.dataset_scores, lengths),
            groups,
        )


def score_tasks(
    engine: Engine, encoder_id: int, queries: Mapping[int, QueryVectors]
) -> tuple[Snapshot, dict[int, TaskScores]]:
    """Part scores of every live row, as of one moment, by task version: stored ones where there are, and new ones."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
        # Again, for what was ingested since the query vectors were computed.
        require_embedded(connection, encoder_id)
        live, gone = read_live(connection)
        scores: dict[int, TaskScores] = {}
        missing: list[Keys] = []
        last = None
        for version in queries:
            found = share_keys(read_scores(connection, version, encoder_id), last)
            if last is None or found.keys is not last.keys:
                missing.append(live[~among(live, found.keys)])
            last = found
            scores[version] = found.without(gone)
        unscored = missing[0] if len(missing) == 1 else np.unique(np.concatenate(missing))
        new = join(list(score_rows(connection, encoder_id, list(queries.values()), unscored)), len(queries))
        for place, version in enumerate(queries):
            scores[version] = scores[version].merged(new, place)
        return snapshot_now(connection), scores


def snapshot_now(connection: Connection) -> Snapshot:
    """The corpus as a transaction sees it."""
    return Snapshot(*_mirror_groups(connection), changes_so_far(connection), loads_so_far(connection))


def stored_candidates(connection: Connection, task_version_id: int, encoder_id: int) -> Candidates:
    """The rows that are scored for a task version and live now, to be ranked again: no vector is read."""
    _, gone = read_live(connection)
    return snapshot_now(connection).candidates(read_scores(connection, task_version_id, encoder_id).without(gone))


def loads_so_far(connection: Connection) -> int:
    """How many loads of datasets were finished: what `retrieval.loads_seen` counts."""
    made = select(func.count()).select_from(Ingest).where(Ingest.finished_at.is_not(None))
    return int(connection.execute(made).scalar_one())


def _mirror_groups(connection: Connection) -> tuple[Keys, NDArray[np.int64]]:
    with driver(connection).cursor(binary=True) as cursor:
        found = np.array(cursor.execute(named("mirror_groups")).fetchall(), np.int64).reshape(-1, 3)
    keys = keys_of(found[:, 0], found[:, 1])
    order = np.argsort(keys)
    return keys[order], found[order, 2]
