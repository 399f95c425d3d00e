"""What is said of lies: which record, what is wrong; and what is odd ends no check in a traceback."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db.schema import Base
from rebase_db.verify.artifacts import ArtifactRecord, check_artifacts, recorded_artifacts
from rebase_db.verify.run import HASHED, Tally, verify, verify_records
from rebase_db.verify.uncovered import DELETIONS, PARTLY, UNCOVERED
from tests.verify.history import as_superuser

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from tests.verify.history import History

HASH = "0123456789ab" + 52 * "c"


def told(connection: Connection, *statements: str) -> list[str]:
    """What verifying says after a superuser's statements, which are undone."""
    with as_superuser(connection):
        for statement in statements:
            connection.execute(text(statement))
        return [str(lie) for lie in verify_records(connection, Tally())]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "UPDATE example SET output = 'tool' WHERE example_id = 1",
            ["example example_id=1: its seal is not", "example example_id=1: content_hash is not that of input"],
        ),
        (
            "UPDATE cell SET text_id = 1 WHERE (dataset_id, row_id, column_id) = (1, 2, 1)",
            [
                "source_row dataset_id=1 row_id=2: its cells are not its content: word",
            ],
        ),
        (
            "UPDATE retrieval_link SET state = 'distilled' WHERE state = 'rejected'",
            [
                "retrieval_link link_id=2: state is not what its events say (expected rejected, found distilled)",
                "retrieval_link link_id=2: it is accepted without an example of its last attempt",
                "retrieval_link link_id=2: no finished run was trained on an example of it",
            ],
        ),
        (
            "UPDATE budget SET spent_tokens = spent_tokens - 1",
            ["budget task_id=1: spent_tokens is not the sum of what calls took"],
        ),
        (
            "UPDATE ingest_split SET rows_unchanged = 10 WHERE (dataset_id, ingest_id) = (1, 2)",
            [
                "ingest_split dataset_id=1 ingest_id=2 split_id=1: its seal is not that of its columns",
                "ingest_split dataset_id=1 ingest_id=2 split_id=1: rows_unchanged is not all that were there",
                "ingest_split dataset_id=1 ingest_id=2 split_id=1: rows_added, rows_unchanged and rows_rejected",
            ],
        ),
        (
            "UPDATE source_row SET removed_at = NULL WHERE (dataset_id, row_id) = (4, 4)",
            ["source_row dataset_id=4 row_id=4: removed_at is not when the load that removed it began"],
        ),
        (
            "DELETE FROM changed_row WHERE dataset_id = 4",
            ["changed_row dataset_id=4 row_id=5: a row was removed where it came"],
        ),
        (
            "DELETE FROM event WHERE event = 'done' AND queue = 'training_run'",
            [
                "training_run training_run_id=1: state is not what its events say (expected running, found done)",
                "training_run training_run_id=1: worker_id is not who claimed it",
                "training_run training_run_id=1: finished_at is not when",
            ],
        ),
    ],
)
def test_a_lie_names_its_record_and_what_is_wrong(connection: Connection, statement: str, expected: list[str]) -> None:
    found = told(connection, statement)
    assert [line[: len(start)] for line, start in zip(found, expected, strict=False)] == expected
    assert len(found) >= len(expected)


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE teacher SET identity = '[1e400, {\"a\": null}]'"],
        ["UPDATE task_version SET examples = CAST(repeat('[', 3000) || repeat(']', 3000) AS jsonb)"],
        [
            "ALTER TABLE source_row DROP CONSTRAINT source_row_content_check",
            "UPDATE source_row SET content = '7' WHERE row_id = 1",
        ],
        ["UPDATE row_score SET row_ids[2] = NULL"],
        [
            "ALTER TABLE row_score DROP CONSTRAINT row_score_parallel_check",
            "UPDATE row_score SET input_scores = '{{1},{2}}', row_ids = '{}'",
        ],
        ["UPDATE row_score SET input_scores[1] = 'NaN', output_scores[2] = 'Infinity', row_ids[1] = -5"],
        [
            "ALTER TABLE retrieval DROP CONSTRAINT retrieval_scoring_check",
            "UPDATE retrieval SET scoring = 'by hand', mirrors = 'all'",
        ],
        ["UPDATE event SET queue = 'nowhere', to_state = 'elsewhere' WHERE event_id = 1"],
        ["UPDATE event SET at = 'infinity' WHERE event_id > 0"],
        ["DELETE FROM benchmark_item", "DELETE FROM training_set_member"],
        ["UPDATE training_set_member SET position = -2147483648 WHERE position = 1"],
        ["DROP TABLE prediction"],
    ],
    ids=lambda statements: statements[-1][:40],
)
def test_what_is_odd_is_a_lie_and_no_traceback(connection: Connection, statements: list[str]) -> None:
    assert [lie for lie in told(connection, *statements) if "its constraint" not in lie]


def test_artifacts_are_read_and_can_be_left_out(history: History, tmp_path: Path) -> None:
    with history.engine.connect() as connection:
        (recorded,) = recorded_artifacts(connection)
    copy = tmp_path / "artifact"
    shutil.copytree(history.artifact, copy)
    moved = replace(recorded, folder=str(copy))

    (copy / "README.md").write_text("# Another card\n")
    assert list(check_artifacts([moved])) == []
    weights = copy / "deep" / "weights"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    (changed,) = check_artifacts([moved])
    assert (changed.record, dict(changed.key)) == ("training_run", {"training_run_id": 1})
    assert (changed.expected, changed.found) != (changed.found, changed.expected)
    shutil.rmtree(copy)
    (missing,) = check_artifacts([moved])
    assert str(missing) == f"training_run training_run_id=1: its artifact is missing: there is no folder {copy}"
    assert len(list(check_artifacts([ArtifactRecord(1, "a\0b", bytes(32))]))) == 1

    with_files, without = Tally(), Tally()
    assert list(verify(history.engine, with_files)) == list(verify(history.engine, without, files=False)) == []
    assert with_files.hashes == without.hashes + 1


def test_a_trigger_that_is_off_or_gone_is_told(connection: Connection) -> None:
    assert told(
        connection,
        "ALTER TABLE example DISABLE TRIGGER example_seal",
        "DROP TRIGGER event_no_delete ON event",
    ) == ["event: its trigger event_no_delete is missing", "example: its trigger example_seal is switched off"]
    lies = told(connection, "ALTER TABLE cell DISABLE TRIGGER ALL")
    assert len([lie for lie in lies if lie.startswith("cell: the trigger RI_")]) > 2


HARMLESS = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"


def test_a_trigger_or_function_that_was_replaced_and_a_constraint_that_is_gone_are_told(connection: Connection) -> None:
    lies = told(
        connection,
        f"CREATE OR REPLACE FUNCTION refuse_provenance_change() {HARMLESS}",
        f"CREATE OR REPLACE FUNCTION seal_example() {HARMLESS}",
        "DROP TRIGGER cell_no_update ON cell",
        "CREATE TRIGGER cell_no_update BEFORE UPDATE OF row_id ON cell FOR EACH ROW"
        " EXECUTE FUNCTION refuse_provenance_change()",
        "ALTER TABLE metric DROP CONSTRAINT metric_pkey",
        "ALTER TABLE example DROP CONSTRAINT example_generation_id_link_id_fkey",
        "ALTER TABLE example ADD CONSTRAINT example_generation_id_link_id_fkey"
        " FOREIGN KEY (generation_id, link_id) REFERENCES generation (generation_id, link_id) NOT VALID",
    )
    assert [lie.partition(" (")[0] for lie in lies] == [
        "event: the function refuse_provenance_change of its triggers is another",
        "cell: its trigger cell_no_update is another",
        "example: the function seal_example of its triggers is another",
        "metric: its constraint metric_pkey is missing",
        "example: its constraint example_generation_id_link_id_fkey is not validated",
    ]


@pytest.mark.parametrize(
    ("table", "trigger", "change"),
    [
        ("generation", "generation_erase", "raw_answer = raw_answer || ' ' WHERE generation_id = 1"),
        ("check_result", "check_result_erase", "evidence = '{\"a\": 1}' WHERE check_result_id = 1"),
        ("event", "event_erase", "detail = 'another' WHERE event_id = 1"),
        ("dataset", "dataset_once", "licence = 'CC0' WHERE dataset_id = 1"),
        ("training_run", "training_run_once", "environment = '{}'"),
        ("ingest", "ingest_once", "finished_at = finished_at + interval '1 day'"),
        ("training_run", "training_run_no_update", "environment = environment, code_version = 'x'"),
    ],
)
def test_no_seal_is_made_for_what_a_trigger_that_was_off_would_have_refused(
    connection: Connection, table: str, trigger: str, change: str
) -> None:
    savepoint = connection.begin_nested()
    connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}"))
    connection.execute(text(f"UPDATE {table} SET {change}"))  # noqa: S608 - the names are ours
    connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}"))
    lies = [str(lie) for lie in verify_records(connection, Tally())]
    savepoint.rollback()
    assert lies[0].startswith(f"{table} ")
    assert ": its seal is not" in lies[0]


def test_a_true_change_makes_no_seal_for_one_before_it(connection: Connection) -> None:
    savepoint = connection.begin_nested()
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    connection.execute(text("UPDATE dataset SET name = 'other', licence = NULL WHERE dataset_id = 2"))
    connection.execute(text("SET LOCAL session_replication_role = origin"))
    connection.execute(text("UPDATE dataset SET licence = 'MIT' WHERE dataset_id = 2"))
    lies = [str(lie) for lie in verify_records(connection, Tally())]
    savepoint.rollback()
    assert lies[0].startswith("dataset dataset_id=2: its seal is not")


def test_what_is_erased_without_a_retraction_is_told(connection: Connection) -> None:
    savepoint = connection.begin_nested()
    for change in (
        "example SET input = '', output = '', rationale = NULL",
        "generation SET raw_answer = NULL, failures = '{}'",
        "check_result SET evidence = '{}'",
        "event SET detail = NULL",
        "likely_source SET evidence = '{}'",
        "judgement SET raw_answer = NULL, failures = '{}', reason = NULL",
    ):
        table = change.partition(" ")[0]
        connection.execute(text(f"UPDATE {change}, erased_by = 1 WHERE ctid = (SELECT max(ctid) FROM {table})"))  # noqa: S608
    lies = [str(lie) for lie in verify_records(connection, Tally())]
    savepoint.rollback()
    assert sorted(lie.partition(" ")[0] for lie in lies if "erased_by is not a retraction that erased what" in lie) == [
        "check_result",
        "event",
        "example",
        "generation",
        "judgement",
        "likely_source",
    ]


def test_every_table_with_a_hash_is_counted_as_such() -> None:
    hashes = {"sha256", "content_hash", "manifest_hash", "run_key"}
    assert {name for name, table in Base.metadata.tables.items() if hashes & set(table.columns.keys())} == set(HASHED)


def test_only_columns_and_tables_that_exist_are_said_to_be_uncovered() -> None:
    for table, columns in [*UNCOVERED.items(), *PARTLY.items()]:
        assert columns.keys() <= set(Base.metadata.tables[table].columns.keys())
    assert DELETIONS.keys() <= Base.metadata.tables.keys()
