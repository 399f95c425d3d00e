"""`rebase export` as a user runs it: data on stdout, talk on stderr, the verdict as exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from cli.main import app, main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.export.shelf import Shelf


@pytest.fixture
def invoke(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr("cli.session.open_database", lambda: shelf.engine)
    monkeypatch.setenv("COLUMNS", "80")
    return CliRunner()


def test_stdout_is_the_document_and_stderr_what_to_know_of_it(invoke: CliRunner) -> None:
    result = invoke.invoke(app, ["export", "set:mixed", "--as", "croissant"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["name"] == "mixed"
    talk = result.stderr.splitlines()
    assert talk[0].startswith("Look at the licences: poems (CC-BY-NC-SA-4.0: non-commercial; 2 examples), scraps (no")
    assert talk[1].startswith("3 of 4 examples come from rows that were withdrawn: retraction ")
    assert talk[2] == "`rebase freeze --successor-of mixed` makes the set without them."
    assert talk[3] == "The records are not written: name a folder with --output for them."


def test_files_are_named_as_they_are_written(invoke: CliRunner, tmp_path: Path) -> None:
    result = invoke.invoke(app, ["export", "run:2", "--as", "prov", "--no-records", "-o", str(tmp_path / "p.json")])
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"Wrote {tmp_path / 'p.json'}." in result.stderr
    assert json.loads((tmp_path / "p.json").read_text())["prefix"] == {"rebase": "urn:rebase-db:"}


def test_a_forbidden_licence_is_exit_code_9(
    invoke: CliRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del invoke
    monkeypatch.setattr("sys.argv", ["rebase", "export", "set:mixed", "--as", "prov", "--forbid", "cc-by-nc-sa"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 9
    said = capsys.readouterr()
    assert said.out == ""
    assert "poems (CC-BY-NC-SA-4.0: cc-by-nc-sa; 2 examples)" in said.err


def test_a_place_that_cannot_be_written_is_an_error_of_one_line(
    invoke: CliRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    del invoke
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "card.md")
    monkeypatch.setattr("sys.argv", ["rebase", "export", "set:mixed", "--as", "dataset-card", "-o", place])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert f"{place} cannot be written: " in capsys.readouterr().err


def test_only_events_are_sent(invoke: CliRunner) -> None:
    result = invoke.invoke(app, ["export", "set:mixed", "--as", "prov", "--send"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Only OpenLineage events can be sent" in result.stderr
