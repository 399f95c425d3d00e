"""Retrieval runs: asking for one, knowing whether its answer is still current, and computing any number together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import insert, select, text

from rebase_db.database.copy import driver
from rebase_db.errors import RebaseError
from rebase_db.faults import FaultPoint, reach
from rebase_db.retract.lock import changes_so_far, hold_still
from rebase_db.retrieve.corpus import require_embedded, retracted_rows
from rebase_db.retrieve.options import datasets_named, plain_share, plain_weights
from rebase_db.retrieve.query_vectors import ensure_query_vectors
from rebase_db.retrieve.rank import AVERAGE_SCORE, Candidates, rank_rows
from rebase_db.retrieve.score import score_corpus
from rebase_db.retrieve.write import lock_task, merge_links, write_scores
from rebase_db.schema import Retrieval, RetrievalExclusion
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.retrieve.query_vectors import QueryVectors
    from rebase_db.retrieve.rank import Ranking, Weights
    from rebase_db.retrieve.score import DatasetScores

SCORE_BYTES_A_PASS = 512 << 20
"""Memory for part scores; more tasks than fit are scored in a further pass over the vectors."""
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
    _corpus: _Corpus
    _place: int

    def write(self, connection: Connection, retrieval_ids: Collection[int]) -> dict[int, dict[str, int | float | None]]:
        """Rank the rows for these of the requests and write it, in the caller's transaction.

        Returns what each retrieval did, by column of `retrieval`.
        """
        rows = self._corpus.candidates(self._place)
        return {
            request.retrieval_id: _write(connection, request, self._corpus, self._place, rows)
            for request in self.requests
            if request.retrieval_id in retrieval_ids
        }


def compute_retrievals(
    engine: Engine, requests: Sequence[Request], load_encoder: Callable[[], Encoder]
) -> Iterator[Scored]:
    """Score the corpus once for all `requests` (of one encoder); what came of it, by task version.

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
        corpus = _score(engine, encoder_id, [queries[version] for version in versions])
        reach(FaultPoint.RETRIEVE_SCORED)
        for place, version in enumerate(versions):
            # Together, because a task's newest request has to be the last that is merged.
            yield Scored([request for request in part if request.task_version_id == version], corpus, place)


def _score(engine: Engine, encoder_id: int, queries: Sequence[QueryVectors]) -> _Corpus:
    """Score every live row, as of one moment."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
        # Again, for what was ingested since the query vectors were computed.
        require_embedded(connection, encoder_id)
        scores = list(score_corpus(connection, encoder_id, queries))
        return _Corpus(scores, _mirror_groups(connection), changes_so_far(connection))


def _write(
    connection: Connection, request: Request, corpus: _Corpus, place: int, rows: Candidates
) -> dict[str, int | float | None]:
    """Rank the rows for one request and write what came of it."""
    ranking = _rank(request, rows)
    hold_still(connection)
    if changes_so_far(connection) != corpus.changes_seen:
        rows = rows.without(retracted_rows(connection))
        ranking = _rank(request, rows)
    lock_task(connection, request.task_version_id, request.encoder_id)
    newer = select(Retrieval.retrieval_id).where(
        Retrieval.task_version_id == request.task_version_id,
        Retrieval.encoder_id == request.encoder_id,
        Retrieval.retrieval_id > request.retrieval_id,
        Retrieval.state == "done",
    )
    if connection.execute(newer.limit(1)).first() is not None:
        # Revived, or slower than one that was asked for later: the task's ranking is that one's.
        return {
            "rows_scored": len(corpus.row_ids),
            "rows_entered": 0,
            "rows_kept": 0,
            "rows_displaced": 0,
            "mirrors_left_out": 0,
            "cutoff_score": None,
            "retractions_seen": corpus.changes_seen,
        }
    write_scores(
        connection,
        request.retrieval_id,
        request.task_version_id,
        request.encoder_id,
        [(place, dataset) for dataset in corpus.scores],
    )
    merged = merge_links(connection, request.retrieval_id, request.task_version_id, request.encoder_id, rows, ranking)
    # As of the corpus that was scored: what was retracted since makes the next request compute anew.
    return merged | {"rows_scored": len(corpus.row_ids), "retractions_seen": corpus.changes_seen}


def _rank(request: Request, rows: Candidates) -> Ranking:
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
        rows = connection.execute(text(named("live_rows"))).scalar_one()
    size = max(1, SCORE_BYTES_A_PASS // (_BYTES_A_SCORE * max(1, rows)))
    for first in range(0, len(requests), size):
        yield requests[first : first + size]


def _mirror_groups(connection: Connection) -> dict[tuple[int, int], int]:
    with driver(connection).cursor(binary=True) as cursor:
        cursor.execute(named("mirror_groups"))
        return {(dataset_id, row_id): group for dataset_id, row_id, group in cursor}


class _Corpus:
    """All scored rows, dataset after dataset, with what does not depend on the task."""

    def __init__(
        self, scores: Sequence[DatasetScores], mirror_groups: dict[tuple[int, int], int], changes_seen: int
    ) -> None:
        self.scores = scores
        self.changes_seen = changes_seen
        lengths = [len(part.row_ids) for part in scores]
        self.lengths = lengths
        self.row_ids: NDArray[np.int32] = _join([part.row_ids for part in scores], np.int32)
        self.dataset_ids: NDArray[np.int32] = np.repeat(
            np.array([part.dataset_id for part in scores], np.int32), lengths
        )
        self.mirror_groups = np.zeros(len(self.row_ids), np.int64)
        if mirror_groups and len(self.row_ids):
            keys = self.dataset_ids.astype(np.int64) << 32 | self.row_ids
            wanted = np.array([dataset_id << 32 | row_id for dataset_id, row_id in mirror_groups], np.int64)
            places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            # A row without cells is not scored and has no place.
            found = keys[places] == wanted
            self.mirror_groups[places[found]] = np.fromiter(mirror_groups.values(), np.int64)[found]

    def candidates(self, place: int) -> Candidates:
        """The rows as candidates of the task at `place`."""
        scores = self.scores
        return Candidates(
            self.dataset_ids,
            self.row_ids,
            _join([part.input_scores[place] for part in scores], np.float32),
            _join([part.output_scores[place] for part in scores], np.float32),
            _join([part.input_columns[place] for part in scores], np.int16),
            _join([part.output_columns[place] for part in scores], np.int16),
            np.repeat(np.array([part.dataset_scores[place] for part in scores], np.float32), self.lengths),
            self.mirror_groups,
        )


def _join(parts: Sequence[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, kind)
