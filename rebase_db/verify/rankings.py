"""Rankings, computed again from the stored part scores and held against the links and mirrors that stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rebase_db.retrieve.rank import Candidates
from rebase_db.retrieve.run import rank_for, read_requests
from rebase_db.verify.lie import Lie
from rebase_db.verify.read import lies_of, stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from rebase_db.retrieve.rank import Ranking
    from rebase_db.retrieve.run import Request

NEWEST = """\
SELECT max(retrieval_id) FROM retrieval WHERE state = 'done' GROUP BY task_version_id, encoder_id ORDER BY 1"""
COUNTS = """\
SELECT rows_scored, rows_entered, rows_kept, cutoff_score, loads_seen
FROM retrieval
WHERE retrieval_id = %(retrieval_id)s"""
SCORES = """\
SELECT
    dataset_id, retrieval_id, dataset_score, array_send(row_ids), array_send(input_scores), array_send(output_scores)
FROM row_score
WHERE task_version_id = %(task_version_id)s AND encoder_id = %(encoder_id)s
ORDER BY dataset_id"""
# Rows of equal content, whatever became of them since; which of them took part, the scores tell.
MIRRORS = """\
SELECT dataset_id, string_agg(int4send(row_id) || int8send(mirror_group), '' ORDER BY row_id)
FROM (
    SELECT dataset_id, row_id, dense_rank() OVER (ORDER BY content_hash) AS mirror_group
    FROM (
        SELECT dataset_id, row_id, content_hash, count(*) OVER (PARTITION BY content_hash) AS copies
        FROM source_row
    ) AS counted
    WHERE copies > 1
) AS grouped
GROUP BY dataset_id
ORDER BY dataset_id"""
# Rows that were retracted when the ranking was written: some may have been scored before. Not only those of retractions
# made since the run began, for one is dated before it is committed.
LEFT_BETWEEN = """\
WITH run AS (
    SELECT max(at) AS ended
    FROM event
    WHERE queue = 'retrieval' AND item_id = %(retrieval_id)s AND event = 'done'
)
SELECT DISTINCT retracted_row.dataset_id, retracted_row.row_id
FROM run
INNER JOIN retraction
    ON retraction.created_at <= run.ended
    AND (retraction.undone_at IS NULL OR retraction.undone_at > run.ended)
INNER JOIN retracted_row USING (retraction_id)"""
LINKS = """\
SELECT
    string_agg(
        int4send(dataset_id) || int4send(row_id) || int8send(link_id) || int4send(rank) || float8send(score), ''
        ORDER BY dataset_id, row_id
    )
FROM retrieval_link
WHERE task_version_id = %(task_version_id)s AND encoder_id = %(encoder_id)s AND displaced_by IS NULL
GROUP BY dataset_id
ORDER BY dataset_id"""
RECEIPT = """\
SELECT dataset_id, ranked, entered + returned + kept FROM retrieval_dataset WHERE retrieval_id = %(retrieval_id)s"""
LEFT_OUT = """\
SELECT mirror.dataset_id, mirror.row_id, link.dataset_id, link.row_id
FROM retrieval_mirror AS mirror
LEFT JOIN retrieval_link AS link ON link.link_id = mirror.kept_link_id
WHERE mirror.retrieval_id = %(retrieval_id)s"""
# Their ranking's scores have been replaced since. Each average stays what it was, as the vectors do.
DISPLACED = """\
SELECT
    'retrieval_link',
    jsonb_build_object('link_id', link.link_id),
    'score is not the mean of its part scores',
    parts.mean::text,
    link.score::text
FROM retrieval_link AS link
CROSS JOIN LATERAL (
    SELECT (link.input_score::float8 + link.output_score::float8 + link.dataset_score::float8) / 3 AS mean
) AS parts
WHERE
    link.displaced_by IS NOT NULL
    AND abs(parts.mean - link.score) > 1e-6
    AND NOT EXISTS (
        SELECT
        FROM retrieval
        WHERE
            retrieval.task_version_id = link.task_version_id
            AND retrieval.encoder_id = link.encoder_id
            AND retrieval.state = 'done'
            AND (retrieval.scoring <> 'average-score' OR retrieval.weights IS NOT NULL)
    )
UNION ALL
SELECT
    'retrieval_link',
    jsonb_build_object('link_id', link.link_id),
    'rank is beyond every ranking it could be of',
    longest.top_n::text,
    link.rank::text
FROM retrieval_link AS link
INNER JOIN (
    SELECT task_version_id, encoder_id, max(top_n) AS top_n
    FROM retrieval
    WHERE state = 'done'
    GROUP BY task_version_id, encoder_id
) AS longest USING (task_version_id, encoder_id)
WHERE link.displaced_by IS NOT NULL AND link.rank > longest.top_n"""

_LINK = np.dtype([("dataset_id", ">i4"), ("row_id", ">i4"), ("link_id", ">i8"), ("rank", ">i4"), ("score", ">f8")])
_GROUP = np.dtype([("row_id", ">i4"), ("group", ">i8")])
_ARRAY_HEAD = 20  # dimensions, flags, type, length, first index
NO_MIRRORS: dict[int, NDArray[Any]] = {}


def check_rankings(connection: Connection) -> Iterator[Lie]:
    """Of every task version and encoder the newest ranking: which rows, their ranks and scores, and the mirrors."""
    requests = read_requests(connection, [number for (number,) in stream(connection, NEWEST)])
    groups = NO_MIRRORS
    if any(request.mirrors == "first" for request in requests):
        groups = {dataset_id: np.frombuffer(packed, _GROUP) for dataset_id, packed in stream(connection, MIRRORS)}
    for request in requests:
        yield from _check_ranking(connection, request, groups)
    yield from lies_of(connection, DISPLACED)


def _check_ranking(connection: Connection, request: Request, groups: dict[int, NDArray[Any]]) -> Iterator[Lie]:
    lane = {"task_version_id": request.task_version_id, "encoder_id": request.encoder_id}
    key = {"retrieval_id": request.retrieval_id}
    parts = []
    for dataset_id, retrieval_id, dataset_score, *arrays in stream(connection, SCORES, lane, binary=True):
        if retrieval_id > request.retrieval_id:
            what = "it is of a retrieval after the newest that is done"
            record = {**lane, "dataset_id": dataset_id}
            yield Lie("row_score", record, what, str(request.retrieval_id), str(retrieval_id))
        try:
            parts.append(_part(dataset_id, dataset_score, arrays, groups.get(dataset_id)))
        except ValueError as error:
            yield Lie("row_score", {**lane, "dataset_id": dataset_id}, f"its scores are not arrays of numbers: {error}")
            return
    scored = _candidates(parts)
    rows = scored.without([(dataset_id, row_id) for dataset_id, row_id in stream(connection, LEFT_BETWEEN, key)])
    ranking = rank_for(request, rows)
    yield from _check_counts(connection, key, len(scored.row_ids), ranking)
    yield from _check_receipt(connection, request, rows, ranking)
    yield from _check_links(connection, lane, request, rows, ranking)
    yield from _check_mirrors(connection, key, rows, ranking)


@dataclass(frozen=True, slots=True)
class _Part:
    dataset_id: int
    dataset_score: float
    row_ids: NDArray[Any]
    input_scores: NDArray[Any]
    output_scores: NDArray[Any]
    groups: NDArray[np.int64]


def _part(dataset_id: int, dataset_score: float, arrays: list[bytes], groups: NDArray[Any] | None) -> _Part:
    row_ids, inputs, outputs = arrays
    rows = _elements(row_ids, ">i4")
    found = np.zeros(len(rows), np.int64)
    if groups is not None and len(rows):
        places = np.minimum(np.searchsorted(groups["row_id"], rows), len(groups) - 1)
        there = groups["row_id"][places] == rows
        found[there] = groups["group"][places[there]]
    return _Part(dataset_id, dataset_score, rows, _elements(inputs, ">f4"), _elements(outputs, ">f4"), found)


def _elements(sent: bytes, kind: str) -> NDArray[Any]:
    """The elements of an array as `array_send` writes it; ValueError where there is a null among them."""
    record = np.dtype([("length", ">i4"), ("value", kind)])
    found = np.frombuffer(sent[_ARRAY_HEAD:], record)
    if (found["length"] != record["value"].itemsize).any():
        raise ValueError("there is a null among them")
    return found["value"].astype(record["value"].newbyteorder("="))


def _candidates(parts: list[_Part]) -> Candidates:
    lengths = [len(part.row_ids) for part in parts]
    row_ids = _joined([part.row_ids for part in parts], np.int32)
    columns = np.zeros(len(row_ids), np.int16)
    return Candidates(
        np.repeat(np.array([part.dataset_id for part in parts], np.int32), lengths),
        row_ids,
        _joined([part.input_scores for part in parts], np.float32),
        _joined([part.output_scores for part in parts], np.float32),
        columns,
        columns,
        np.repeat(np.array([part.dataset_score for part in parts], np.float32), lengths),
        _joined([part.groups for part in parts], np.int64),
    )


def _joined(parts: list[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, kind)


def _check_counts(connection: Connection, key: dict[str, int], rows_scored: int, ranking: Ranking) -> Iterator[Lie]:
    for scored, entered, kept, cutoff, _ in stream(connection, COUNTS, key):
        truth = {
            "rows_scored": (rows_scored, scored),
            "rows_entered and rows_kept": (len(ranking.chosen), (entered or 0) + (kept or 0)),
            "cutoff_score": (float(ranking.scores[-1]) if len(ranking.scores) else None, cutoff),
        }
        for name, (expected, found) in truth.items():
            if expected != found:
                yield Lie("retrieval", key, f"{name} are not those of the stored scores", str(expected), str(found))


def _check_receipt(connection: Connection, request: Request, rows: Candidates, ranking: Ranking) -> Iterator[Lie]:
    """Of each dataset how many rows competed and how many of them the ranking has."""
    key = {"retrieval_id": request.retrieval_id}
    if any(loads is None for *_, loads in stream(connection, COUNTS, key)):
        return  # of a release that wrote no receipts
    found = {dataset_id: numbers for dataset_id, *numbers in stream(connection, RECEIPT, key)}
    ranked = _numbers(rows.dataset_ids[~np.isin(rows.dataset_ids, list(request.excluded))])
    linked = _numbers(rows.dataset_ids[ranking.chosen])
    for dataset_id in sorted(found.keys() | ranked.keys()):
        expected = [ranked.get(dataset_id, 0), linked.get(dataset_id, 0)]
        if (written := found.get(dataset_id, [0, 0])) != expected:
            what = "the rows it ranked and the links it has are not those of the stored scores"
            yield Lie("retrieval_dataset", {**key, "dataset_id": dataset_id}, what, str(expected), str(written))


def _numbers(dataset_ids: NDArray[Any]) -> dict[int, int]:
    datasets, counts = np.unique(dataset_ids, return_counts=True)
    return dict(zip(datasets.tolist(), counts.tolist(), strict=True))


def _check_links(
    connection: Connection, lane: dict[str, int], request: Request, rows: Candidates, ranking: Ranking
) -> Iterator[Lie]:
    packed = b"".join(bytes(part) for (part,) in stream(connection, LINKS, lane, binary=True))
    links = np.frombuffer(packed, _LINK)
    linked = _row_keys(links["dataset_id"], links["row_id"])
    chosen = ranking.chosen
    ranked = _row_keys(rows.dataset_ids[chosen], rows.row_ids[chosen])
    order = np.argsort(ranked)
    for place in order[~np.isin(ranked[order], linked)]:
        dataset_id, row_id = rows.dataset_ids[chosen[place]], rows.row_ids[chosen[place]]
        what = f"row {row_id} of dataset {dataset_id} is in its ranking, but has no link in it"
        yield Lie("retrieval", {"retrieval_id": request.retrieval_id}, what, f"rank {place + 1}")
    known = np.isin(linked, ranked)
    for link in links[~known]:
        yield Lie("retrieval_link", {"link_id": int(link["link_id"])}, "its row is not in the newest ranking")
    links = links[known]
    places = order[np.searchsorted(ranked[order], linked[known])] if len(links) else np.empty(0, np.int64)
    for name, truth in (("rank", places + 1), ("score", ranking.scores[places])):
        for wrong in np.flatnonzero(truth != links[name]):
            key = {"link_id": int(links["link_id"][wrong])}
            what = f"{name} is not that of the stored scores"
            yield Lie("retrieval_link", key, what, str(truth[wrong]), str(links[name][wrong]))


def _check_mirrors(connection: Connection, key: dict[str, int], rows: Candidates, ranking: Ranking) -> Iterator[Lie]:
    left_out, kept = ranking.mirrors[:, 0], ranking.mirrors[:, 1]
    pairs = zip(
        rows.dataset_ids[left_out].tolist(),
        rows.row_ids[left_out].tolist(),
        zip(rows.dataset_ids[kept].tolist(), rows.row_ids[kept].tolist(), strict=True),
        strict=True,
    )
    expected = {(dataset_id, row_id): of for dataset_id, row_id, of in pairs}
    for dataset_id, row_id, *of in stream(connection, LEFT_OUT, key):
        record = {**key, "dataset_id": dataset_id, "row_id": row_id}
        truth = expected.pop((dataset_id, row_id), None)
        if truth is None:
            yield Lie("retrieval_mirror", record, "the stored scores leave no such row out")
        elif truth != tuple(of):
            yield Lie("retrieval_mirror", record, "it repeats another row", f"row {truth}", f"row {tuple(of)}")
    for dataset_id, row_id in expected:
        what = f"row {row_id} of dataset {dataset_id} was left out as a mirror, which is not on record"
        yield Lie("retrieval", key, what)


def _row_keys(dataset_ids: NDArray[Any], row_ids: NDArray[Any]) -> NDArray[np.int64]:
    return dataset_ids.astype(np.int64) * 2**32 + row_ids.astype(np.int64)
