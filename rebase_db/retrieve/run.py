"""Retrieval runs: asking for one, knowing whether its answer is still current, and computing any number together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import func, insert, select, text

from rebase_db.errors import RebaseError
from rebase_db.faults import FaultPoint, reach
from rebase_db.retract.lock import changes_so_far, hold_still
from rebase_db.retrieve.corpus import require_embedded, retracted_rows
from rebase_db.retrieve.options import datasets_named, plain_share, plain_weights
from rebase_db.retrieve.query_vectors import ensure_query_vectors
from rebase_db.retrieve.rank import AVERAGE_SCORE, rank_rows
from rebase_db.retrieve.snapshot import score_tasks
from rebase_db.retrieve.write import lock_task, merge_links, write_receipt, write_scores
from rebase_db.schema import Dataset, Retrieval, RetrievalExclusion
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.retrieve.rank import Candidates, Ranking, Weights
    from rebase_db.retrieve.snapshot import Snapshot
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
    weights: Weights | None = None
    max_share: float | None = None


def request_retrieval(
    connection: Connection,
    task_version_id: int,
    encoder_id: int,
    *,
    top_n: int,
    scoring: str,
    mirrors: str,
    exclude_datasets: Iterable[str],
    exclude_licences: Iterable[str] = (),
    weights: Weights | None = None,
    max_share: float | None = None,
) -> int:
    """Ask for a retrieval, unless the newest one asked the same and has seen the corpus as it is; its id.

    `exclude_datasets` are globs on dataset names, `exclude_licences` duties or licences. Weights that are all equal are
    none, like those of a scoring that uses none, and so is a share of 1.
    """
    excluded = datasets_named(connection, exclude_datasets, exclude_licences)
    used = plain_weights(weights) if scoring == AVERAGE_SCORE else None
    options = {"weights": used, "max_share": plain_share(max_share)}
    current = connection.execute(
        text(named("current_retrieval")),
        {
            "task_version_id": task_version_id,
            "encoder_id": encoder_id,
            "top_n": top_n,
            "scoring": scoring,
            "mirrors": mirrors,
            "excluded": sorted(excluded),
            **options,
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
            **options,
        )
        .returning(Retrieval.retrieval_id)
    ).scalar_one()
    if excluded:
        connection.execute(
            insert(RetrievalExclusion),
            [{"retrieval_id": retrieval_id, "dataset_id": dataset_id} for dataset_id in excluded],
        )
    return retrieval_id


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
            Retrieval.weights,
            Retrieval.max_share,
        )
        .where(Retrieval.retrieval_id.in_(retrieval_ids))
        .order_by(Retrieval.retrieval_id)
    )
    return [
        Request(
            retrieval_id=row.retrieval_id,
            task_version_id=row.task_version_id,
            encoder_id=row.encoder_id,
            top_n=row.top_n,
            scoring=row.scoring,
            mirrors=row.mirrors,
            excluded=frozenset(excluded.get(row.retrieval_id, ())),
            weights=None if row.weights is None else (row.weights[0], row.weights[1], row.weights[2]),
            max_share=row.max_share,
        )
        for row in rows
    ]


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
    _snapshot: Snapshot

    def write(self, connection: Connection, retrieval_ids: Collection[int]) -> dict[int, dict[str, int | float | None]]:
        """Rank the rows for these of the requests and write it, in the caller's transaction.

        Returns what each retrieval did, by column of `retrieval`.
        """
        rows = self._snapshot.candidates(self._scores)
        scores, done = self._scores, {}
        for request in self.requests:
            if request.retrieval_id in retrieval_ids:
                done[request.retrieval_id] = _write(connection, request, self._snapshot, scores, rows)
                # What the first of them stored, the others have not scored.
                scores = scores.as_stored(request.retrieval_id)
        return done


def compute_retrievals(
    engine: Engine, requests: Sequence[Request], load_encoder: Callable[[], Encoder]
) -> Iterator[Scored]:
    """Score, in one pass, rows that a task of `requests` (of one encoder) has no score of; all scores, task by task.

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
        snapshot, scores = score_tasks(engine, encoder_id, {version: queries[version] for version in versions})
        reach(FaultPoint.RETRIEVE_SCORED)
        for version in versions:
            # Together, because a task's newest request has to be the last that is merged.
            mine = [request for request in part if request.task_version_id == version]
            yield Scored(mine, scores.pop(version), snapshot)


def _write(
    connection: Connection, request: Request, snapshot: Snapshot, scores: TaskScores, rows: Candidates
) -> dict[str, int | float | None]:
    """Rank the rows for one request and write what came of it."""
    ranking = rank_for(request, rows)
    hold_still(connection)
    if changes_so_far(connection) != snapshot.changes_seen:
        rows = rows.without(retracted_rows(connection))
        ranking = rank_for(request, rows)
    lock_task(connection, request.task_version_id, request.encoder_id)
    # As of the corpus that was scored: what was retracted or loaded since makes the next request compute anew.
    seen = {
        "rows_scored": len(scores.keys),
        "retractions_seen": snapshot.changes_seen,
        "loads_seen": snapshot.loads_seen,
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


def rank_for(request: Request, rows: Candidates) -> Ranking:
    """Rank rows as a retrieval asks for it."""
    return rank_rows(
        rows,
        top_n=request.top_n,
        scoring=request.scoring,
        excluded=request.excluded,
        drop_mirrors=request.mirrors == "first",
        weights=request.weights,
        max_share=request.max_share,
    )


def _passes(engine: Engine, requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
    with engine.connect() as connection:
        rows = connection.execute(select(func.coalesce(func.sum(Dataset.last_row_id), 0))).scalar_one()
    size = max(1, SCORE_BYTES_A_PASS // (_BYTES_A_SCORE * max(1, int(rows))))
    for first in range(0, len(requests), size):
        yield requests[first : first + size]
