"""`rebase verify` as a person uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import text
from typer.testing import CliRunner

from cli.main import app

if TYPE_CHECKING:
    import pytest
    from sqlalchemy import Engine


def test_lies_are_lines_and_the_exit_code_the_verdict(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.session.open_database", lambda: engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO worker (host, pid, code_version) VALUES ('here', 1, '0')"))
    clean = CliRunner().invoke(app, ["verify"])
    assert (clean.exit_code, clean.stdout) == (0, "")
    assert "No record lies: 1 record and 1 hash checked." in clean.stderr

    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE worker SET host = 'there'"))
        seal = connection.execute(text("SELECT encode(seal, 'hex') FROM worker")).scalar_one()
    found = CliRunner().invoke(app, ["verify", "--no-artifacts"])
    assert found.exit_code == 1
    assert found.stdout.startswith("worker worker_id=1: its seal is not that of its columns (expected ")
    assert found.stdout.endswith(f"found {seal[:12]}…)\n")
    assert "1 lie in 1 record and 1 hash checked." in found.stderr

    told = json.loads(CliRunner().invoke(app, ["verify", "--json"]).stdout)
    (lie,) = told.pop("lies")
    assert told == {"records": 1, "hashes": 1}
    assert (lie["record"], lie["key"], lie["found"]) == ("worker", {"worker_id": 1}, seal)
