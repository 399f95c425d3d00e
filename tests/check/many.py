"""A lane with any number of examples, written by a few statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from tests.check.ground import Ground

_ROWS = """
    WITH number AS (SELECT generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS n),
    texts AS (
        INSERT INTO text (dataset_id, text_id, sha256, text)
        SELECT :dataset_id, n, sha256(convert_to('cell ' || n, 'UTF8')), 'cell ' || n FROM number
    ),
    rows AS (
        INSERT INTO source_row (dataset_id, row_id, ingest_id, split_id, source_index, content, content_hash)
        SELECT :dataset_id, n, 1, 1, n, jsonb_build_object('letter', 'cell ' || n), sha256(CAST('r' || n AS bytea))
        FROM number
    )
    INSERT INTO cell (dataset_id, row_id, column_id, text_id) SELECT :dataset_id, n, 1, n FROM number"""
_LINKS = """
    INSERT INTO retrieval_link (
        task_version_id, encoder_id, dataset_id, row_id, input_column_id, output_column_id, input_score, output_score,
        dataset_score, score, rank, entered_by, state, attempt, finished_at
    )
    SELECT
        :task_version_id, :encoder_id, :dataset_id, n, 1, 1, 0, 0, 0, 0, n, :retrieval_id, 'transformed', 1,
        clock_timestamp()
    FROM generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS n"""
_EXAMPLES = """
    WITH called AS (
        INSERT INTO generation (
            link_id, attempt, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, latency_seconds, outcome,
            reading
        )
        SELECT
            link_id, 1, :teacher_id, :prompt_id, :worker_id, sha256(CAST('g' || link_id AS bytea)),
            repeat(md5(CAST(link_id AS text)), 20), 0, 'parsed', 'strict'
        FROM retrieval_link
        WHERE task_version_id = :task_version_id AND rank BETWEEN :first AND :last
        RETURNING generation_id, link_id
    )
    INSERT INTO example (generation_id, link_id, input, output, content_hash)
    SELECT
        generation_id,
        link_id,
        (
            SELECT string_agg(substr(md5(link_id || '.' || word), 1, 5), ' ' ORDER BY word)
            FROM generate_series(1, CAST(:words AS integer)) AS word
        ),
        'cat',
        sha256(CAST('e' || link_id AS bytea))
    FROM called"""


def put_many(ground: Ground, first: int, last: int, words: int = 12) -> None:
    """Put examples of these ranks, which are their rows' ids too, with inputs of so many made-up words."""
    values = {
        "first": first,
        "last": last,
        "words": words,
        "dataset_id": ground.chain["dataset"]["dataset_id"],
        "task_version_id": ground.lane[0],
        "encoder_id": ground.lane[1],
        "retrieval_id": ground.retrieval_id,
        "teacher_id": ground.chain["teacher"]["teacher_id"],
        "prompt_id": ground.chain["prompt"]["prompt_id"],
        "worker_id": ground.worker_id,
    }
    with ground.engine.begin() as connection:
        for statement in (_ROWS, _LINKS, _EXAMPLES):
            connection.execute(text(statement), values)
