"""The databases that tests are lent: whatever one leaves, the next finds what the template has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db.database.engine import engine_for
from tests.conftest import _url
from tests.schema.chain import build

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.lending import Lending

LEFT = """
    SELECT (SELECT count(*) FROM source_row), (SELECT count(*) FROM event), (SELECT max(last_value) FROM pg_sequences),
        (SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND tablename <> 'alembic_version'),
        (SELECT array_agg(DISTINCT reltuples) FROM pg_class WHERE relname IN ('source_row', 'event', 'cell'))
"""


def look(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        return list(connection.execute(text(LEFT)).one())


def test_what_a_test_wrote_is_gone_and_the_name_too(lending: Lending, server_url: str) -> None:
    name = lending.lend()
    engine = engine_for(_url(server_url, name))
    fresh = look(engine)
    assert fresh == [0, 0, None, 0, [-1]]
    with engine.begin() as connection:
        build(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    assert look(engine)[0] == 1
    open_still = engine.connect()
    open_still.execute(text("SELECT * FROM source_row FOR UPDATE"))
    lending.take_back(name)
    again = lending.lend()
    assert again != name
    other = engine_for(_url(server_url, again))
    assert look(other) == fresh
    with other.begin() as connection:
        assert build(connection)["dataset"]["dataset_id"] == 1
    other.dispose()
    open_still.invalidate()
    open_still.close()
    engine.dispose()
    lending.take_back(again)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE INDEX another ON event (detail)",
        "DROP INDEX example_content_hash_idx",
        "ALTER TABLE dataset DISABLE TRIGGER dataset_no_update",
        "ALTER TABLE dataset SET (fillfactor = 50)",
        "GRANT SELECT ON dataset TO public",
        "GRANT SELECT (name) ON dataset TO public",
        "CREATE OR REPLACE FUNCTION refuse_provenance_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "DO 'BEGIN EXECUTE format($$ALTER DATABASE %%I SET work_mem = 64$$, current_database()); END'",
        "UPDATE alembic_version SET version_num = '0001'",
        "CREATE SCHEMA another",
    ],
)
def test_a_database_whose_definitions_were_changed_is_not_lent_again(
    lending: Lending, server_url: str, change: str
) -> None:
    name = lending.lend()
    engine = engine_for(_url(server_url, name))
    with engine.begin() as connection:
        connection.exec_driver_sql(change)
    engine.dispose()
    kept = list(lending._kept)
    lending.take_back(name)
    assert lending._kept == kept
