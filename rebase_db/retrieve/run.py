"""Retrieval runs: asking for one, knowing whether its answer is still current, and computing any number together."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import func, insert, select, text

from rebase_db.database.copy import driver
from rebase_db.errors import RebaseError
from rebase_db.faults import FaultPoint, reach
from rebase_db.retract.lock import changes_so_far, hold_still
from rebase_db.retrieve.corpus import keys_of, read_live, require_embedded, retracted_rows
from rebase_db.retrieve.query_vectors import ensure_query_vectors
from rebase_db.retrieve.rank import Candidates, rank_rows
from rebase_db.retrieve.score import score_rows
from rebase_db.retrieve.stored import among, join, read_scores, share_keys
from rebase_db.retrieve.write import lock_task, merge_links, write_receipt, write_scores
from rebase_db.schema import Dataset, Ingest, Retrieval, RetrievalExclusion
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.retrieve.corpus import Keys
    from rebase_db.retrieve.query_vectors import QueryVectors
    from rebase_db.retrieve.rank import Ranking
    from rebase_db.retrieve.stored import TaskScores

SCORE_BYTES_A_PASS = 256 << 20
"""Memory for part scores, taken twice while they are joined; more tasks than fit are scored in a further pass."""
_BYTES_A_SCORE = 12  # two float32 scores and two int16 columns


@dataclass(frozen=True, slots=True)
class Request:
    """A retrieval to be computed, as the database has it."""

    retrieval_id: int
    task_version_id: int
    encoder_id: int
    top_n: int
    scoring: str
    mirrors: str
    excluded: frozenset[int]


def request_retrieval(
    connection: Connection,
    task_version_id: int,
    encoder_id: int,
    *,
    top_n: int,
    scoring: str,
    mirrors: str,
    exclude_datasets: Iterable[str],
) -> int:
    """Ask for a retrieval, unless the newest one asked the same and has seen the corpus as it is; its id.

    `exclude_datasets` are globs on dataset names.
    """
    globs = list(exclude_datasets)
    datasets = connection.execute(select(Dataset.dataset_id, Dataset.name)).all() if globs else []
    excluded = [dataset_id for dataset_id, name in datasets if any(fnmatchcase(name, glob) for glob in globs)]
    current = connection.execute(
        text(named("current_retrieval")),
        {
            "task_version_id": task_version_id,
            "encoder_id": encoder_id,
            "top_n": top_n,
            "scoring": scoring,
            "mirrors": mirrors,
            "excluded": sorted(excluded),
        },
    ).scalar_one_or_none()
    if current is not None:
        return int(current)
    retrieval_id: int = connection.execute(
        insert(Retrieval)
        .values(
            task_version_id=task_version_id,
            encoder_id=encoder_id,
            top_n=top_n,
            scoring=scoring,
            mirrors=mirrors,
            state="waiting",
        )
        .returning(Retrieval.retrieval_id)
    ).scalar_one()
    if excluded:
        connection.execute(
            insert(RetrievalExclusion),
            [{"retrieval_id": retrieval_id, "dataset_id": dataset_id} for dataset_id in excluded],
        )
    return retrieval_id


def loads_so_far(connection: Connection) -> int:
    """How many loads of datasets were finished: what `retrieval.loads_seen` counts."""
    made = select(func.count()).select_from(Ingest).where(Ingest.finished_at.is_not(None))
    return int(connection.execute(made).scalar_one())


def read_requests(connection: Connection, retrieval_ids: Sequence[int]) -> list[Request]:
    """What these retrievals ask for, in order of id."""
    excluded: dict[int, set[int]] = {}
    for retrieval_id, dataset_id in connection.execute(
        select(RetrievalExclusion.retrieval_id, RetrievalExclusion.dataset_id).where(
            RetrievalExclusion.retrieval_id.in_(retrieval_ids)
        )
    ):
        excluded.setdefault(retrieval_id, set()).add(dataset_id)
    rows = connection.execute(
        select(
            Retrieval.retrieval_id,
            Retrieval.task_version_id,
            Retrieval.encoder_id,
            Retrieval.top_n,
            Retrieval.scoring,
            Retrieval.mirrors,
        )
        .where(Retrieval.retrieval_id.in_(retrieval_ids))
        .order_by(Retrieval.retrieval_id)
    )
    return [Request(*row, frozenset(excluded.get(row.retrieval_id, ()))) for row in rows]


def retrieval_counts(connection: Connection, retrieval_id: int) -> dict[str, int]:
    """What a finished retrieval did, by column, with `rows_linked`: how many rows its ranking has.

    Raises:
        RebaseError: It failed.
    """
    row = connection.execute(
        select(
            Retrieval.state,
            Retrieval.error,
            Retrieval.rows_scored,
            Retrieval.rows_entered,
            Retrieval.rows_kept,
            Retrieval.rows_displaced,
            Retrieval.mirrors_left_out,
        ).where(Retrieval.retrieval_id == retrieval_id)
    ).one()
    state, error, *numbers = row
    if state != "done":
        raise RebaseError(f"Retrieval {retrieval_id} is {state}: {error}", hint="Mend the cause and ask again.")
    counts = {name: int(value or 0) for name, value in zip(row._fields[2:], numbers, strict=True)}
    return counts | {"rows_linked": counts["rows_entered"] + counts["rows_kept"]}


@dataclass(frozen=True, slots=True)
class Scored:
    """Retrievals of one task version, oldest first, with the scores of every row."""

    requests: Sequence[Request]
    _scores: TaskScores
    _corpus: _Corpus

    def write(self, connection: Connection, retrieval_ids: Collection[int]) -> dict[int, dict[str, int | float | None]]:
        """Rank the rows for these of the requests and write it, in the caller's transaction.

        Returns what each retrieval did, by column of `retrieval`.
        """
        rows = self._corpus.candidates(self._scores)
        scores, done = self._scores, {}
        for request in self.requests:
            if request.retrieval_id in retrieval_ids:
                done[request.retrieval_id] = _write(connection, request, self._corpus, scores, rows)
                # What the first of them stored, the others have not scored.
                scores = scores.as_stored(request.retrieval_id)
        return done


def compute_retrievals(
    engine: Engine, requests: Sequence[Request], load_encoder: Callable[[], Encoder]
) -> Iterator[Scored]:
    """Score, in one pass, the rows that a task of `requests` (of one encoder) has no score of; all scores, task by task.

    Args:
        engine: The database.
        requests: What to compute.
        load_encoder: Called only when a task's query vectors are not kept yet.
    """
    encoder_id = requests[0].encoder_id
    with engine.connect() as connection:
        require_embedded(connection, encoder_id)
    queries = ensure_query_vectors(engine, load_encoder, encoder_id, [request.task_version_id for request in requests])
    for part in _passes(engine, requests):
        # Task versions asked for twice (another scoring, say) are scored once.
        versions = list(dict.fromkeys(request.task_version_id for request in part))
        corpus, scores = _score(engine, encoder_id, {version: queries[version] for version in versions})
        reach(FaultPoint.RETRIEVE_SCORED)
        for version in versions:
            # Together, because a task's newest request has to be the last that is merged.
            mine = [request for request in part if request.task_version_id == version]
            yield Scored(mine, scores.pop(version), corpus)


def _score(
    engine: Engine, encoder_id: int, queries: Mapping[int, QueryVectors]
) -> tuple[_Corpus, dict[int, TaskScores]]:
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
        return _Corpus(_mirror_groups(connection), changes_so_far(connection), loads_so_far(connection)), scores


def _write(
    connection: Connection, request: Request, corpus: _Corpus, scores: TaskScores, rows: Candidates
) -> dict[str, int | float | None]:
    """Rank the rows for one request and write what came of it."""
    ranking = _rank(request, rows)
    hold_still(connection)
    if changes_so_far(connection) != corpus.changes_seen:
        rows = rows.without(retracted_rows(connection))
        ranking = _rank(request, rows)
    lock_task(connection, request.task_version_id, request.encoder_id)
    # As of the corpus that was scored: what was retracted or loaded since makes the next request compute anew.
    seen = {
        "rows_scored": len(scores.keys),
        "retractions_seen": corpus.changes_seen,
        "loads_seen": corpus.loads_seen,
    }
    newer = select(Retrieval.retrieval_id).where(
        Retrieval.task_version_id == request.task_version_id,
        Retrieval.encoder_id == request.encoder_id,
        Retrieval.retrieval_id > request.retrieval_id,
        Retrieval.state == "done",
    )
    if connection.execute(newer.limit(1)).first() is not None:
        # Revived, or slower than one that was asked for later: the task's ranking is that one's.
        return seen | {
            "rows_entered": 0,
            "rows_kept": 0,
            "rows_displaced": 0,
            "mirrors_left_out": 0,
            "cutoff_score": None,
        }
    lane = request.task_version_id, request.encoder_id
    write_scores(connection, request.retrieval_id, *lane, scores)
    merged = merge_links(connection, request.retrieval_id, *lane, rows, ranking)
    write_receipt(connection, request.retrieval_id, _ranked(request, rows), scores, merged)
    return seen | merged.counts


def _ranked(request: Request, rows: Candidates) -> dict[int, int]:
    """Rows that competed, by dataset."""
    datasets, counts = np.unique(rows.dataset_ids, return_counts=True)
    found = zip(datasets.tolist(), counts.tolist(), strict=True)
    return {dataset_id: 0 if dataset_id in request.excluded else count for dataset_id, count in found}


def _rank(request: Request, rows: Candidates) -> Ranking:
    return rank_rows(
        rows,
        top_n=request.top_n,
        scoring=request.scoring,
        excluded=request.excluded,
        drop_mirrors=request.mirrors == "first",
    )


def _passes(engine: Engine, requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
    with engine.connect() as connection:
        rows = connection.execute(select(func.coalesce(func.sum(Dataset.last_row_id), 0))).scalar_one()
    size = max(1, SCORE_BYTES_A_PASS // (_BYTES_A_SCORE * max(1, int(rows))))
    for first in range(0, len(requests), size):
        yield requests[first : first + size]


def _mirror_groups(connection: Connection) -> tuple[Keys, NDArray[np.int64]]:
    """Rows that have mirrors, ascending, and the group of each."""
    with driver(connection).cursor(binary=True) as cursor:
        found = np.array(cursor.execute(named("mirror_groups")).fetchall(), np.int64).reshape(-1, 3)
    keys = keys_of(found[:, 0], found[:, 1])
    order = np.argsort(keys)
    return keys[order], found[order, 2]


class _Corpus:
    """What does not depend on the task: which rows are mirrors, and how old the corpus was."""

    def __init__(self, mirrors: tuple[Keys, NDArray[np.int64]], changes_seen: int, loads_seen: int) -> None:
        self.changes_seen = changes_seen
        self.loads_seen = loads_seen
        self._mirrored, self._groups = mirrors

    def candidates(self, scores: TaskScores) -> Candidates:
        """The rows as candidates of the task."""
        groups = np.zeros(len(scores.keys), np.int64)
        # A row without cells is not scored and has no place.
        found = among(self._mirrored, scores.keys)
        groups[np.searchsorted(scores.keys, self._mirrored[found])] = self._groups[found]
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
