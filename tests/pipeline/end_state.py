"""What a finished task leaves, without what legitimately differs between runs: ids, times, attempts, workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.queue import QUEUES

if TYPE_CHECKING:
    from sqlalchemy import Engine

MACHINES = {each.name: each.machine for each in QUEUES}
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


_LAST_STATES = " UNION ALL ".join(
    f"SELECT '{each.name}' AS queue, {each.key.name} AS item_id, state, state = '{each.machine.working}' AS held"  # noqa: S608
    f" FROM {each.name}"
    for each in QUEUES
)
BROKEN = {
    "out of order": """
        SELECT * FROM (
            SELECT queue, item_id, from_state, to_state, event,
                lag(to_state) OVER (PARTITION BY queue, item_id ORDER BY event_id) AS before
            FROM event
        ) AS ordered
        WHERE before IS NOT NULL AND before <> from_state""",
    "not where its events led": f"""
        SELECT * FROM ({_LAST_STATES}) AS row
        JOIN (
            SELECT DISTINCT ON (queue, item_id) queue, item_id, to_state FROM event
            ORDER BY queue, item_id, event_id DESC
        ) AS last USING (queue, item_id)
        WHERE row.state <> last.to_state OR row.held""",  # noqa: S608
    "called twice": "SELECT link_id, attempt FROM generation GROUP BY link_id, attempt HAVING count(*) > 1",
    "two examples": """
        SELECT link_id, attempt FROM example JOIN generation USING (generation_id, link_id)
        GROUP BY link_id, attempt HAVING count(*) > 1""",
    "of another row": """
        SELECT link_id, input, content FROM example
        JOIN retrieval_link USING (link_id) JOIN source_row USING (dataset_id, row_id)
        WHERE input <> coalesce(content ->> 'text', content ->> 'body.text')""",
}


def end_state(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every query's rows, in an order of their own."""
    with engine.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(text(query))), key=repr)
            for name, query in QUERIES.items()
        }


def illegal_events(engine: Engine) -> list[tuple[Any, ...]]:
    """What no history may have, whatever happened: always empty.

    Events that the state machine does not know or that do not begin where the row's last one ended; rows that are not
    where their last event left them, or are still being worked on; attempts with several calls; links with several
    examples of one attempt, or with an example made from another row than theirs.
    """
    with engine.connect() as connection:
        return [(name, *row) for name, query in BROKEN.items() for row in connection.execute(text(query))] + [
            ("illegal", *row)
            for row in connection.execute(text("SELECT DISTINCT queue, from_state, event, to_state FROM event"))
            if MACHINES[row.queue].transitions.get((row.from_state, row.event)) != row.to_state
        ]
