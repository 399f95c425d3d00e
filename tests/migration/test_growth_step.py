"""The step to releases of datasets and back: what was there goes on in its new form, and no lie is sealed anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db.database import migrate
from rebase_db.database.copy import driver
from rebase_db.errors import DatabaseError
from tests.migration.test_seeds import SEEDS

if TYPE_CHECKING:
    from sqlalchemy import Engine

COLUMNS = "dataset_id, split_id, column_id, position, source_type, left_out"


@pytest.fixture
def at_0004(empty_engine: Engine) -> Engine:
    migrate.upgrade(empty_engine, "0004")
    with empty_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver(connection).execute((SEEDS / "0004.sql").read_bytes())
    return empty_engine


def test_columns_of_splits_become_those_of_their_loads_and_sets_know_their_datasets(at_0004: Engine) -> None:
    with at_0004.connect() as connection:
        before = connection.execute(text(f"SELECT {COLUMNS} FROM split_column ORDER BY 1, 2, 3")).all()  # noqa: S608
    migrate.upgrade(at_0004, "0005")
    with at_0004.connect() as connection:
        columns = text(f"SELECT ingest_id, {COLUMNS} FROM ingest_column ORDER BY 2, 3, 4")  # noqa: S608
        assert connection.execute(columns).all() == [(1, *row) for row in before]
        mixes = text("SELECT training_set_id, dataset_ids, examples FROM training_set_mix ORDER BY 1")
        assert connection.execute(mixes).all() == [(1, [1], 2), (2, [1], 1)]
    migrate.downgrade(at_0004, "-1")
    with at_0004.connect() as connection:
        assert connection.execute(text(f"SELECT {COLUMNS} FROM split_column ORDER BY 1, 2, 3")).all() == before  # noqa: S608


@pytest.mark.parametrize(
    "lie",
    [
        "UPDATE ingest SET code_version = 'another'",
        "UPDATE retrieval SET top_n = 7 WHERE retrieval_id = 1",
        "UPDATE training_run SET seed = 77 WHERE training_run_id = 1",
    ],
)
def test_what_its_seal_denies_is_not_sealed_anew(at_0004: Engine, lie: str) -> None:
    with at_0004.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        assert connection.execute(text(lie)).rowcount == 1
    with pytest.raises(DatabaseError, match="is not what its seal says"):
        migrate.upgrade(at_0004, "0005")


def test_there_is_no_way_back_for_rows_that_left_their_source(empty_engine: Engine) -> None:
    migrate.upgrade(empty_engine, "0005")
    with empty_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver(connection).execute((SEEDS / "0005.sql").read_bytes())
    with pytest.raises(DatabaseError, match="rows were removed from their sources"):
        migrate.downgrade(empty_engine, "-1")
