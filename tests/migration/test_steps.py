"""Revisions in one line, each to be taken forward and back, safe beside another process and beside other sessions."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text

from rebase_db.database import migrate
from rebase_db.database.engine import current_revision
from rebase_db.database.revision import HEAD
from rebase_db.errors import DatabaseError
from tests.migration.catalog import differences, read_catalog

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Engine

    from tests.migration.catalog import Catalog


def catalog_of(engine: Engine) -> Catalog:
    with engine.connect() as connection:
        return read_catalog(connection)


def test_there_is_one_head_and_the_code_is_written_for_it() -> None:
    # walk_revisions, under known_revisions, refuses more than one head.
    assert migrate.known_revisions()[-1] == HEAD


def test_each_revision_can_be_taken_forward_and_back(empty_engine: Engine) -> None:
    revisions = migrate.known_revisions()
    stages: dict[str, Catalog] = {"base": catalog_of(empty_engine)}
    assert stages["base"] == {}
    for revision in revisions:
        migrate.upgrade(empty_engine, revision)
        assert current_revision(empty_engine) == revision
        stages[revision] = catalog_of(empty_engine)
    for before in reversed(["base", *revisions[:-1]]):
        migrate.downgrade(empty_engine, "-1")
        assert differences(stages[before], catalog_of(empty_engine)) == {}
    assert current_revision(empty_engine) is None
    migrate.upgrade(empty_engine)
    assert differences(stages[HEAD], catalog_of(empty_engine)) == {}


def test_an_upgrade_of_the_newest_schema_changes_nothing(shared_engine: Engine) -> None:
    before = catalog_of(shared_engine)
    migrate.upgrade(shared_engine)
    assert current_revision(shared_engine) == HEAD
    assert differences(before, catalog_of(shared_engine)) == {}


def test_a_newer_schema_is_not_touched(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    with pytest.raises(DatabaseError, match="newer than this rebase-db"):
        migrate.upgrade(engine)
    assert current_revision(engine) == "ffff"


ADVISORY_LOCKS = text(
    "SELECT count(*) FILTER (WHERE granted) AS held, count(*) FILTER (WHERE NOT granted) AS awaited"
    " FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    " WHERE datname = current_database() AND locktype = 'advisory'"
)

UPGRADE = """\
import sys
from rebase_db.database import migrate
from rebase_db.database.engine import engine_for
migrate.upgrade(engine_for(sys.argv[1]))
"""


def test_two_processes_may_upgrade_at_once(empty_database: str, empty_engine: Engine) -> None:
    with empty_engine.connect() as holder:
        # Both are held where they wait for their turn, and so both have seen the empty database before either goes on.
        holder.execute(text("SELECT pg_advisory_lock(hashtext('rebase-db migrations'))"))
        upgrades = [
            subprocess.Popen(
                [sys.executable, "-c", UPGRADE, empty_database],
                stderr=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        while holder.execute(ADVISORY_LOCKS).one().awaited < len(upgrades):
            assert all(upgrade.poll() is None for upgrade in upgrades), "one did not wait"
            threading.Event().wait(0.05)
        holder.invalidate()  # and the lock goes with the connection
    for upgrade in upgrades:
        output, errors = upgrade.communicate(timeout=60)
        assert (upgrade.returncode, output, errors) == (0, "", "")
    assert current_revision(empty_engine) == HEAD


def test_a_migration_gives_up_where_it_would_wait_for_a_lock(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "50ms")
    before = catalog_of(engine)
    with engine.connect() as reader:
        reader.execute(text("SELECT * FROM ingest"))  # in a transaction that is left open
        with pytest.raises(DatabaseError, match="waited 50ms for a lock") as caught:
            migrate.downgrade(engine, "base")
    assert "Stop the workers" in caught.value.hint
    assert differences(before, catalog_of(engine)) == {}
    assert current_revision(engine) == HEAD
    with engine.connect() as connection:  # the pooled connection is given back as it was
        assert connection.execute(text("SELECT current_setting('lock_timeout')")).scalar_one() == "0"
        assert connection.execute(ADVISORY_LOCKS).one() == (0, 0)
    migrate.downgrade(engine, "base")
    assert current_revision(engine) is None


def test_the_limits_are_in_force_while_migrations_run(empty_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "STATEMENT_TIMEOUT", "7s")
    seen = []

    @event.listens_for(empty_engine, "before_cursor_execute")
    def read_limits(_: object, cursor: psycopg.Cursor[tuple[str]], statement: str, *__: object) -> None:
        if statement.startswith("INSERT INTO alembic_version"):
            for name in ("lock_timeout", "statement_timeout"):
                seen.extend(cursor.execute("SELECT current_setting(%s)", [name]).fetchall())

    migrate.upgrade(empty_engine)
    assert seen == [(migrate.LOCK_TIMEOUT,), ("7s",)]
