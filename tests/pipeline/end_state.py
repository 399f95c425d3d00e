"""What a finished task leaves, without what legitimately differs between runs: ids, times, attempts, workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Engine

QUERIES = {
    "rows": "SELECT name, split_id, source_index, content_hash FROM source_row JOIN dataset USING (dataset_id)",
    "cells": """
        SELECT dataset.name, row_id, dataset_column.name, text FROM cell
        JOIN dataset_column USING (dataset_id, column_id) JOIN text USING (dataset_id, text_id)
        JOIN dataset USING (dataset_id)""",
    "ingests": "SELECT name, texts_added, cells_added FROM ingest JOIN dataset USING (dataset_id)",
    "vectors": """
        SELECT name, sha256, vector::text FROM embedding JOIN text USING (dataset_id, text_id)
        JOIN dataset USING (dataset_id)""",
    "chunks": "SELECT state, count(*) FROM embed_chunk GROUP BY state",
    "retrievals": "SELECT state, rows_scored, rows_entered, mirrors_left_out, cutoff_score FROM retrieval",
    "scores": "SELECT name, row_ids, input_scores, output_scores FROM row_score JOIN dataset USING (dataset_id)",
    "links": """
        SELECT name, row_id, rank, score, link.state, link.error FROM retrieval_link AS link
        JOIN dataset USING (dataset_id)""",
    "calls that counted": """
        SELECT rank, outcome, reason, raw_answer FROM generation JOIN retrieval_link AS link USING (link_id)
        WHERE generation.attempt = link.attempt""",
    "examples": """
        SELECT rank, input, output, rationale, example.content_hash FROM example
        JOIN retrieval_link USING (link_id)""",
    "sets": "SELECT name, size, manifest_hash FROM training_set",
    "members": """
        SELECT position, example.content_hash FROM training_set_member JOIN example USING (example_id)""",
    "runs": "SELECT state, run_key, artifact_hash FROM training_run",
    "scores of runs": "SELECT metric, value, low, high, majority, items FROM evaluation",
    "predictions": "SELECT position, output, confidence, correct FROM prediction",
}


def end_state(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every query's rows, in an order of their own."""
    with engine.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(text(query))), key=repr)
            for name, query in QUERIES.items()
        }


def illegal_events(engine: Engine) -> list[tuple[Any, ...]]:
    """Events that do not begin where the row's last event ended, and doubled results: always empty."""
    with engine.connect() as connection:
        broken = connection.execute(
            text(
                """
                SELECT * FROM (
                    SELECT queue, item_id, from_state, to_state, event,
                        lag(to_state) OVER (PARTITION BY queue, item_id ORDER BY event_id) AS before
                    FROM event
                ) AS ordered
                WHERE before IS NOT NULL AND before <> from_state
                """
            )
        ).all()
        doubled = connection.execute(
            text("SELECT link_id, count(*) FROM example GROUP BY link_id HAVING count(*) > 1")
        ).all()
    return [tuple(row) for row in (*broken, *doubled)]
