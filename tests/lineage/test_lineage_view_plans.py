"""Asked with a key, a view reads what belongs to it by index, in a database with far more where nothing has parents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tests.queue.test_claim_plan import nodes_of, rows_looked_at
from tests.schema.chain import lineage_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

DATASETS, ROWS = 20, 2_000
EXAMPLES = DATASETS * ROWS

# Triggers are off while this runs, and with them the seals.
FILL = (
    """
    INSERT INTO dataset (name, uri, licence, description_text_id, description_given, seal)
    SELECT 'many ' || n, 'file:many', 'licence ' || n % 4, 1, true, '' FROM generate_series(1, :datasets) AS n""",
    """
    INSERT INTO dataset_split (dataset_id, split_id, config, split, uri, seal)
    SELECT dataset_id, 1, 'default', 'train', 'file:many', '' FROM dataset WHERE name LIKE 'many %'""",
    """
    INSERT INTO dataset_column (dataset_id, column_id, name, seal)
    SELECT dataset_id, 1, 'letter', '' FROM dataset WHERE name LIKE 'many %'""",
    """
    INSERT INTO ingest (dataset_id, ingest_id, code_version, seal)
    SELECT dataset_id, 1, '0', '' FROM dataset WHERE name LIKE 'many %'""",
    """
    INSERT INTO ingest_split (dataset_id, ingest_id, split_id, revision, seal)
    SELECT dataset_id, 1, 1, 'a', '' FROM dataset WHERE name LIKE 'many %'""",
    """
    INSERT INTO source_row (dataset_id, row_id, ingest_id, split_id, source_index, content, content_hash, seal)
    SELECT dataset_id, n, 1, 1, n - 1, '{}', sha256(CAST(dataset_id || '.' || n AS bytea)), ''
    FROM dataset, generate_series(1, :rows) AS n
    WHERE name LIKE 'many %'""",
    """
    INSERT INTO retrieval_link (
        task_version_id, encoder_id, dataset_id, row_id, input_column_id, output_column_id, input_score, output_score,
        dataset_score, score, rank, entered_by, state, attempt, finished_at, seal
    )
    SELECT
        task_version_id, encoder_id, dataset.dataset_id, source_row.row_id, 1, 1, 0, 0, 0, 0,
        source_row.row_id * :datasets + dataset.dataset_id, entered_by, 'distilled', 1, clock_timestamp(), ''
    FROM dataset
    INNER JOIN source_row USING (dataset_id), (SELECT * FROM retrieval_link LIMIT 1) AS pattern
    WHERE name LIKE 'many %'""",
    """
    INSERT INTO generation (
        link_id, attempt, teacher_id, prompt_id, worker_id, prompt_hash, latency_seconds, outcome, reading, cost, seal
    )
    SELECT link.link_id, 1, teacher_id, prompt_id, pattern.worker_id, prompt_hash, 0, 'parsed', 'strict', 0.001, ''
    FROM retrieval_link AS link, (SELECT * FROM generation LIMIT 1) AS pattern
    WHERE link.rank > 1
    ORDER BY link.link_id""",
    """
    INSERT INTO example (generation_id, link_id, input, output, content_hash, seal)
    SELECT generation_id, link_id, 'in', 'out', prompt_hash, ''
    FROM generation
    WHERE cost IS NOT NULL
    ORDER BY generation_id""",
    """
    INSERT INTO check_result (example_id, check_id, verdict, score, evidence, seal)
    SELECT example_id, 1, 'pass', 0, '{}', '' FROM example""",
    """
    INSERT INTO training_set (task_version_id, name, size, selection, manifest_hash, seal)
    SELECT task_version_id, 'set ' || n, :rows, '{}', manifest_hash, ''
    FROM training_set, generate_series(1, :datasets) AS n""",
    # Each set has examples of each dataset.
    """
    INSERT INTO training_set_member (training_set_id, position, example_id, seal)
    SELECT training_set_id, row_number() OVER (PARTITION BY training_set_id ORDER BY example_id), example_id, ''
    FROM example
    INNER JOIN training_set ON training_set.name = 'set ' || 1 + example_id % :datasets
    WHERE input = 'in'""",
    """
    INSERT INTO training_run (
        training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, code_version, run_key,
        state, seal
    )
    SELECT
        training_set_id, 'classifier', 'b', '1', sha256(''), '{}', 1, '0', sha256(CAST(name AS bytea)), 'waiting', ''
    FROM training_set
    WHERE name LIKE 'set %'""",
    """
    INSERT INTO retraction (kind, target, reason, asked_by, code_version, seal)
    VALUES ('dataset', 'many 7', 'asked for', 'me', '0', '')""",
    """
    INSERT INTO retracted_row (retraction_id, dataset_id, row_id, seal)
    SELECT retraction_id, dataset_id, row_id, ''
    FROM retraction
    INNER JOIN dataset ON dataset.name IN (target, 'many 8')
    INNER JOIN source_row USING (dataset_id)
    WHERE row_id <= 100""",
    """
    INSERT INTO published_example (publication_id, position, input, output, content_hash, seal)
    SELECT publication_id, 1 + n, 'in', 'out', sha256(''), '' FROM publication, generate_series(1, :rows) AS n""",
    """
    INSERT INTO likely_source (published_example_id, dataset_id, row_id, method, confidence, evidence, seal)
    SELECT published_example_id, dataset_id, position, 'words', 0.5, '{}', ''
    FROM published_example
    INNER JOIN dataset ON name = 'many 9'
    WHERE position BETWEEN 2 AND :rows""",
)
LARGE = {
    "source_row",
    "retrieval_link",
    "generation",
    "example",
    "check_result",
    "training_set_member",
    "published_example",
    "likely_source",
}
ROW = "dataset = 'many 9' AND config = 'default' AND split = 'train' AND source_index = 11"
DATASET = "dataset = 'many 9'"
RUN = "training_run_id = 3"

# By view: the question, how many rows answer it, and of how many examples that is.
QUESTIONS = {
    "source_row": [(ROW, 1, 1), (DATASET, ROWS, ROWS)],
    "mirror": [(ROW, 0, 1)],
    "load": [(DATASET, 1, 1)],
    "link": [("link_id = 77", 1, 1), (ROW, 1, 1)],
    "call": [("generation_id = 77", 1, 1), ("example_id = 77", 1, 1), ("link_id = 77", 1, 1), (DATASET, ROWS, ROWS)],
    "example": [("example_id = 77", 1, 1), (ROW, 1, 1), (DATASET, ROWS, ROWS)],
    "judge_call": [("example_id = 77", 0, 1)],
    "check_verdict": [("example_id = 77", 1, 1)],
    "example_source": [("example_id = 77", 1, 1), (ROW, 1, 1)],
    "row_example": [(ROW, 1, 1), ("dataset_id = 10 AND row_id = 12", 1, 1), (DATASET, ROWS, ROWS)],
    "dataset_example": [(DATASET, ROWS, ROWS)],
    "set_member": [
        ("training_set = 'set 3'", ROWS, ROWS),
        ("training_set = 'set 3' AND position = 4", 1, 1),
        ("example_id = 77", 1, 1),
    ],
    "row_set": [(ROW, 1, 1)],
    "run_set": [(RUN, 1, 1), ("training_set_id = 3", 1, 1)],
    "run_member": [(RUN, ROWS, ROWS), ("example_id = 77", 1, 1)],
    "run_example": [(RUN, ROWS, ROWS)],
    "run_source": [(RUN, ROWS, ROWS), (f"{RUN} AND position = 4", 1, 1)],
    "run_dataset": [(RUN, DATASETS, ROWS)],
    "run_licence": [(RUN, 4, ROWS)],
    "run_teacher": [(RUN, 1, ROWS)],
    "run_cost": [(RUN, 1, ROWS)],
    "row_run": [(ROW, 1, 1), (DATASET, ROWS, ROWS)],
    "dataset_run": [(DATASET, DATASETS, ROWS)],
    "dataset_set": [(DATASET, DATASETS, ROWS)],
    "licence_run": [("licence = 'MIT'", 1, 1)],
    "retracted_row": [("retraction_id = 2", 200, 200)],
    "retracted_example": [("retraction_id = 2", 200, 200)],
    "retracted_set": [("retraction_id = 2", DATASETS, 200)],
    "retracted_run": [("retraction_id = 2", DATASETS, 200)],
    "published_example": [("published_example_id = 77", 1, 1)],
    "published_source": [("published_example_id = 77", 1, 1), (ROW, 1, 1)],
    "sources_of(77)": [("true", 1, 1)],
    "reached_by(10, 12)": [("true", 5, 1)],
}


@pytest.fixture(scope="module")
def many(server_url: str, template_database: str) -> Iterator[Connection]:
    """A database with 40,000 examples of twenty datasets in twenty sets, none with parents; only read it."""
    with lineage_database(server_url, template_database) as (engine, _):
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text("DELETE FROM example_parent"))
            for statement in FILL:
                connection.execute(text(statement), {"datasets": DATASETS, "rows": ROWS})
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))
        with engine.connect() as connection:
            yield connection


def plan_of(connection: Connection, query: str) -> list[dict[str, Any]]:
    """The nodes of a query's plan, with what each did."""
    ((plan,),) = connection.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}"))
    return list(nodes_of(plan[0]["Plan"]))


def large_scans(nodes: list[dict[str, Any]]) -> set[str]:
    """The large tables that are read from one end to the other."""
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} & LARGE


@pytest.mark.parametrize("view", QUESTIONS)
def test_a_question_reads_what_belongs_to_it(many: Connection, view: str) -> None:
    for where, answered, examples in QUESTIONS[view]:
        nodes = plan_of(many, f"SELECT * FROM lineage.{view} WHERE {where}")  # noqa: S608
        assert nodes[0]["Actual Rows"] == answered, where
        assert large_scans(nodes) == set(), where
        # A few tables an example, and small tables whole.
        assert rows_looked_at(nodes) <= 12 * examples + 300, where


def test_the_plans_see_a_question_without_an_index(many: Connection) -> None:
    nodes = plan_of(many, "SELECT * FROM lineage.example WHERE input = 'none'")
    assert large_scans(nodes) != set()
    assert rows_looked_at(nodes) >= EXAMPLES
