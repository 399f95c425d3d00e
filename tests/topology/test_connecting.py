"""What a worker's machine is told when the server is not as it should be: one sentence, and never the password."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from rebase_db.database.engine import engine_for
from rebase_db.database.migrate import upgrade
from tests.topology.processes import run
from tests.topology.server import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.topology.server import Server

WORK = ("work", "--drain", "--stage", "embed")


def refusal(url: str, home: Path, password: str, *command: str, pgpassword: str | None = None) -> str:
    """The sentence a command ends with."""
    done = run(url, home, *command, pgpassword=pgpassword)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert password not in done.stderr
    assert quote(password, safe="") not in done.stderr
    first, *hint = done.stderr.splitlines()
    assert len(hint) == 1
    assert hint[0].startswith("  ")
    assert first.startswith("error: The ")
    return first


@pytest.mark.parametrize("command", [WORK, ("status",), ("db", "upgrade")], ids=lambda command: command[0])
def test_a_wrong_password_is_said(server: Server, tmp_path: Path, command: tuple[str, ...]) -> None:
    said = refusal(server.url("not the pass@word"), tmp_path, "not the pass@word", *command)
    assert 'password authentication failed for user "rebase"' in said


def test_the_password_may_come_from_the_environment(server: Server, tmp_path: Path) -> None:
    url = server.url_without_password(server.new_database())

    def said(password: str) -> str:
        return refusal(url, tmp_path, password, "status", pgpassword=password)

    assert "has no rebase-db schema yet" in said(server.password), "so it was let in"
    assert "password authentication failed" in said("not the pass@word")


def test_no_password_at_all_is_said(server: Server, tmp_path: Path) -> None:
    said = refusal(server.url_without_password(), tmp_path, server.password, "status")
    assert "no password supplied" in said


def test_encryption_that_the_server_does_not_have_is_said(server: Server, tmp_path: Path) -> None:
    said = refusal(f"{server.url()}?sslmode=require", tmp_path, server.password, "status")
    assert "server does not support SSL, but SSL was required" in said


def test_a_server_out_of_reach_is_said(server: Server, tmp_path: Path) -> None:
    port = free_port()
    said = refusal(server.url(port=port), tmp_path, server.password, *WORK)
    assert f"The database at 127.0.0.1:{port}/rebase cannot be reached" in said


def test_a_database_that_is_not_there_is_said(server: Server, tmp_path: Path) -> None:
    said = refusal(server.url(database="nowhere"), tmp_path, server.password, *WORK)
    assert 'database "nowhere" does not exist' in said


def test_a_database_without_migrations_is_said(server: Server, tmp_path: Path) -> None:
    name = server.new_database()
    said = refusal(server.url(database=name), tmp_path, server.password, *WORK)
    assert said == f"error: The database at 127.0.0.1:{server.port}/{name} has no rebase-db schema yet."


def test_a_newer_schema_is_said(server: Server, tmp_path: Path) -> None:
    name = server.new_database()
    engine = engine_for(server.url(database=name))
    upgrade(engine)
    engine.dispose()
    server.psql("-c", "UPDATE alembic_version SET version_num = '9999'", database=name)
    said = refusal(server.url(database=name), tmp_path, server.password, *WORK)
    assert "is newer than this rebase-db (revision 9999" in said


def test_a_role_that_may_not_create_the_extension_is_said(server: Server, tmp_path: Path) -> None:
    name = server.new_database(extension=False)
    said = refusal(server.url(database=name), tmp_path, server.password, "db", "upgrade")
    assert "permission denied to create extension" in said
