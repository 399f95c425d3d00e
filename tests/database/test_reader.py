"""The reading role reads everything and does nothing else; making it never gets in the way of an upgrade."""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from cli.main import main
from rebase_db.database import migrate, roles
from rebase_db.database.engine import engine_for
from rebase_db.database.refusal import refusal
from tests.conftest import cloned_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

RELATIONS = text(
    "SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE nspname IN ('public', 'lineage') AND relkind IN ('r', 'v')"
)
REFUSED = (
    "INSERT INTO task (name, settings) VALUES ('t', '{}')",
    "UPDATE worker SET stopped_at = now()",
    "DELETE FROM row_score",
    "TRUNCATE event",
    "SELECT * FROM example FOR UPDATE",
    "SELECT nextval('task_task_id_seq')",
    "CREATE TABLE mine ()",
    "CREATE TABLE lineage.mine ()",
    "CREATE VIEW lineage.mine AS SELECT 1 AS one",
    "CREATE SCHEMA mine",
    "CREATE ROLE another",
    "CREATE DATABASE another",
    "DROP VIEW lineage.run",
    "ALTER TABLE example DISABLE TRIGGER ALL",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT rolpassword FROM pg_authid",
    "SET session_replication_role = replica",
    "UPDATE lineage.retraction SET reason = 'none'",
)


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@contextmanager
def login(owner: Engine, options: str = "") -> Iterator[str]:
    """The name of a new role that may log in; roles outlive databases, so it is dropped."""
    name = f"rebase_test_{secrets.token_hex(6)}"
    run(owner, f"CREATE ROLE {name} LOGIN PASSWORD '{name}' {options}")
    try:
        yield name
    finally:
        run(owner, f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")


@contextmanager
def engine_as(owner: Engine, role: str) -> Iterator[Engine]:
    engine = engine_for(owner.url.set(username=role, password=role).render_as_string(hide_password=False))
    yield engine
    engine.dispose()


@pytest.fixture
def analyst(engine: Engine) -> Iterator[Engine]:
    """An engine of a login as the page makes one, on the database of `engine`."""
    with login(engine, f"IN ROLE {roles.READER}") as name, engine_as(engine, name) as found:
        yield found


def test_it_reads_every_table_and_view_also_later_ones(engine: Engine, analyst: Engine) -> None:
    assert roles.missing(engine) == ""
    run(
        engine,
        "CREATE TABLE later (one integer)",
        "CREATE VIEW lineage.later AS SELECT * FROM later",
        "CREATE FUNCTION lineage.one() RETURNS integer LANGUAGE sql RETURN 1",
    )
    with analyst.connect() as connection:
        relations = connection.execute(RELATIONS).scalars().all()
        assert {"public.example", "public.later", "lineage.run_source", "lineage.later"} <= set(relations)
        for relation in relations:
            connection.execute(text(f"SELECT * FROM {relation} LIMIT 1"))  # noqa: S608
        connection.execute(text("SELECT * FROM lineage.sources_of(1), lineage.reached_by(1, 1), lineage.one()"))
        # Whoever goes there must not be given views for tables of the same name.
        connection.execute(text("SET search_path = lineage"))
        connection.execute(text("SELECT * FROM sources_of(1), reached_by(1, 1), trace('example', '1', 'up')"))


def test_it_may_do_nothing_else(analyst: Engine) -> None:
    with analyst.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in REFUSED:
            with pytest.raises(DBAPIError) as caught:
                connection.execute(text(statement))
            assert isinstance(caught.value.orig, InsufficientPrivilege), statement


def test_a_command_says_that_it_may_not(
    analyst: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "task.yaml"
    file.write_text("name: t\ninstruction: Answer.\nexamples: [{input: a, output: b}, {input: c, output: d}]\n")
    monkeypatch.setattr("cli.session.open_database", lambda: analyst)
    monkeypatch.setattr("sys.argv", ["rebase", "task", "add", str(file)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 3
    said = capsys.readouterr().err
    assert "may not do this: permission denied for table" in " ".join(said.split())
    assert "Traceback" not in said
    assert refusal(ValueError("something else")) is None


def test_it_may_not_become_another(engine: Engine, analyst: Engine) -> None:
    with engine.connect() as connection:
        owner = connection.execute(text("SELECT current_user")).scalar_one()
    with analyst.connect() as connection, pytest.raises(DBAPIError, match="permission denied to set role"):
        connection.execute(text(f'SET ROLE "{owner}"'))
    with engine.connect() as connection:
        role = connection.execute(
            text("SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = :reader"),
            {"reader": roles.READER},
        ).one()
    assert tuple(role) == (False, False, False, False)


@pytest.fixture
def another_reader(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A name for a reading role that the server does not have yet."""
    name = f"rebase_test_reader_{secrets.token_hex(6)}"
    monkeypatch.setattr(roles, "READER", name)
    yield name
    run(engine, f"DROP OWNED BY {name} CASCADE", f"DROP ROLE IF EXISTS {name}")


def test_many_databases_make_it_at_once(
    engine: Engine, another_reader: str, server_url: str, template_database: str
) -> None:
    """Two processes upgrade each of two databases of one server."""
    del another_reader
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def make(url: str) -> None:
        engine = engine_for(url)
        try:
            start.wait()
            roles.let_read(engine)
        except BaseException as error:  # noqa: BLE001 - to be seen outside of the thread
            failures.append(error)
        finally:
            engine.dispose()

    with cloned_database(server_url, template_database) as other_url:
        other = engine_for(other_url)
        urls = [engine.url.render_as_string(hide_password=False), other_url] * 2
        threads = [threading.Thread(target=make, args=[url]) for url in urls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert (roles.missing(engine), roles.missing(other)) == ("", "")
        other.dispose()


def test_an_owner_who_may_make_no_roles_is_told_what_to_do(
    empty_database: str, server_url: str, another_reader: str
) -> None:
    administrator = engine_for(
        make_url(server_url).set(database=make_url(empty_database).database).render_as_string(hide_password=False)
    )
    run(administrator, "CREATE EXTENSION vector")
    with login(administrator) as name:
        run(administrator, f"ALTER DATABASE {administrator.url.database} OWNER TO {name}")
        with engine_as(administrator, name) as owner:
            migrate.upgrade(owner)
            assert f"CREATE ROLE {another_reader} NOLOGIN" in roles.missing(owner)
            run(administrator, f"CREATE ROLE {another_reader} NOLOGIN")
            assert f"GRANT SELECT ON ALL TABLES IN SCHEMA public, lineage TO {another_reader}" in roles.missing(owner)
            migrate.upgrade(owner)
            assert roles.missing(owner) == ""
        run(administrator, f"REASSIGN OWNED BY {name} TO CURRENT_USER")
    run(administrator, f"DROP OWNED BY {another_reader} CASCADE")
    administrator.dispose()


def test_a_schema_before_the_views_is_left_alone(empty_database: str, another_reader: str) -> None:
    engine = engine_for(empty_database)
    migrate.upgrade(engine, "0003")
    assert roles.missing(engine) == ""
    run(engine, f"CREATE ROLE {another_reader}")  # so it was not there
    engine.dispose()
