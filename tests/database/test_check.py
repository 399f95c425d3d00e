"""One clear sentence for each way a database cannot be used, and never its password."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from rebase_db import settings
from rebase_db.database import engine as engine_module
from rebase_db.database import migrate
from rebase_db.database.engine import check_server, current_revision, engine_for, open_engine
from rebase_db.database.revision import HEAD
from rebase_db.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Engine

PASSWORD = "correct-horse-battery"  # noqa: S105 - what must not be seen again
HINT_URL = "Write it as postgresql://"


def with_password(url: str) -> str:
    """The same URL with a password, which the server does not ask for."""
    return make_url(url).set(password=PASSWORD).render_as_string(hide_password=False)


def refusal(url: str, monkeypatch: pytest.MonkeyPatch) -> DatabaseError:
    """What `open_engine` says of a URL from the environment; whatever that is, it does not hold the password."""
    monkeypatch.setenv(settings.DATABASE_URL, url)
    with pytest.raises(DatabaseError) as caught:
        open_engine()
    error = caught.value
    told = "\n".join([error.message, error.hint, repr(error), *traceback.format_exception(error)])
    for part in (PASSWORD, *PASSWORD.split("-")):
        assert part not in told
    assert error.exit_code == 3
    assert error.hint
    return error


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/db", "127.0.0.1:1/db cannot be reached: .*refused"),
        (
            f"postgresql://me:{PASSWORD}@/db?host=/no/such/folder",
            "/no/such/folder/db cannot be reached: .*No such file",
        ),
        (f"postgresql://me:{PASSWORD}@127.0.0.1:99999/db", "127.0.0.1:99999/db cannot be reached: .*invalid port"),
        (
            f"postgresql://me:{PASSWORD}@127.0.0.1:1/db?colour=red",
            'cannot be reached: invalid connection option "colour"',
        ),
        (f"postgresql://me@127.0.0.1:1/db?password={PASSWORD}", "127.0.0.1:1/db cannot be reached: .*refused"),
    ],
)
def test_out_of_reach(monkeypatch: pytest.MonkeyPatch, url: str, cause: str) -> None:
    error = refusal(url, monkeypatch)
    assert re.search(cause, error.message), error.message
    assert error.message.startswith("The database at ")
    assert "\n" not in error.message


@pytest.mark.parametrize(
    "url",
    [
        PASSWORD,
        f"host=localhost password={PASSWORD}",
        f"mysql://me:{PASSWORD}@host/db",
        f"sqlite:///{PASSWORD}.db",
        f"postgresql://me:{PASSWORD}@host:port/db",
        "postgresql://me:horse@battery@host/db",  # an @ in the password, not encoded
        "://",
    ],
)
def test_no_postgres_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    error = refusal(url, monkeypatch)
    assert error.message == "REBASE_DATABASE_URL is not a Postgres URL."
    assert error.hint.startswith(HINT_URL)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg"])
def test_every_way_to_write_a_postgres_url_is_taken(server_url: str, scheme: str) -> None:
    engine = engine_for(server_url.replace("postgresql", scheme, 1))
    check_server(engine)
    assert engine.url.drivername == "postgresql+psycopg"
    engine.dispose()


def test_a_database_that_is_not_there(monkeypatch: pytest.MonkeyPatch, server_url: str) -> None:
    url = make_url(with_password(server_url)).set(database="nosuchdatabase").render_as_string(hide_password=False)
    assert 'database "nosuchdatabase" does not exist' in refusal(url, monkeypatch).message


def test_postgres_too_old(monkeypatch: pytest.MonkeyPatch, empty_database: str) -> None:
    monkeypatch.setattr(engine_module, "MIN_POSTGRES", 99)
    error = refusal(with_password(empty_database), monkeypatch)
    assert "is Postgres 1" in error.message
    assert error.message.endswith("; rebase-db needs 99 or newer.")


def test_pgvector_too_old(monkeypatch: pytest.MonkeyPatch, empty_database: str) -> None:
    monkeypatch.setattr(engine_module, "MIN_PGVECTOR", (12, 3))
    error = refusal(with_password(empty_database), monkeypatch)
    assert " has pgvector 0." in error.message
    assert error.message.endswith("; rebase-db needs 12.3 or newer.")


def test_pgvector_installed_long_ago(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """What counts is the version in this database, not the one that lies ready on the server."""
    engine = engine_for(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'"))
    engine.dispose()
    assert "has pgvector 0.7.4; rebase-db needs 0.8" in refusal(with_password(database_url), monkeypatch).message


def test_no_pgvector(monkeypatch: pytest.MonkeyPatch, empty_database: str) -> None:
    engine = engine_for(empty_database)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA bare"))
        connection.execute(text("CREATE TABLE bare.pg_available_extensions (name name, default_version text)"))
        # pg_catalog is looked into first only where the path does not name it.
        connection.execute(text(f'ALTER DATABASE "{engine.url.database}" SET search_path = bare, pg_catalog'))
    engine.dispose()
    error = refusal(with_password(empty_database), monkeypatch)
    assert error.message.endswith(" has no pgvector.")
    assert "Install the extension" in error.hint


def test_no_schema_and_none_is_made_by_looking(monkeypatch: pytest.MonkeyPatch, empty_database: str) -> None:
    error = refusal(with_password(empty_database), monkeypatch)
    assert error.message.endswith(" has no rebase-db schema yet.")
    assert error.hint == "Run `rebase db upgrade`."
    monkeypatch.setenv(settings.DATABASE_URL, empty_database)
    engine = open_engine(check_schema=False)
    assert current_revision(engine) is None
    engine.dispose()


def test_a_schema_taken_back_to_nothing(monkeypatch: pytest.MonkeyPatch, engine: Engine, database_url: str) -> None:
    migrate.downgrade(engine, "base")
    assert "has no rebase-db schema yet" in refusal(with_password(database_url), monkeypatch).message


def test_an_older_schema(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setattr(engine_module, "HEAD", "9999")
    error = refusal(with_password(database_url), monkeypatch)
    assert error.message.endswith(f"is older than this rebase-db ({HEAD}, needs 9999).")
    assert error.hint == "Stop the workers and run `rebase db upgrade`."


def test_a_newer_schema(monkeypatch: pytest.MonkeyPatch, engine: Engine, database_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    error = refusal(with_password(database_url), monkeypatch)
    assert error.message.endswith(f"is newer than this rebase-db (revision ffff, this code knows up to {HEAD}).")
    assert error.hint == "Upgrade rebase-db on this machine."


def test_a_database_that_will_do(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv(settings.DATABASE_URL, with_password(database_url))
    engine = open_engine()
    assert current_revision(engine) == HEAD
    assert PASSWORD not in repr(engine)
    engine.dispose()
