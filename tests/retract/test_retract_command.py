"""`rebase retract` as a user runs it; killed anywhere, it has changed nothing or all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from cli.main import app
from rebase_db.errors import RetractionError, UnknownNameError
from rebase_db.faults import FaultPoint
from tests.retract.test_erasing import WORD, files_with, where_it_is

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from tests.retract.conftest import Shop

ROOT = Path(__file__).parents[2]
REASON = ("--reason", "its writer asked for it")
ERASE = ("retract", "row", "calls:2", *REASON, "--erase", "--yes")


@pytest.fixture
def invoke(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command on the shop's database; what a library raises is raised here too."""
    monkeypatch.setattr("cli.session.open_database", lambda: shop.engine)
    return lambda *arguments, **options: CliRunner().invoke(
        app, list(arguments), catch_exceptions=False, env={"COLUMNS": "200"}, **options
    )


def test_a_preview_shows_what_the_command_then_says(shop: Shop, invoke: Callable[..., Result]) -> None:
    command = ("retract", "dataset", "tickets", *REASON, "--by", "legal")
    shown = invoke(*command, "--preview")
    assert "Nothing was changed" in shown.stderr
    assert shop.retracted() == []
    as_json = json.loads(invoke(*command, "--preview", "--json").stdout)
    done = invoke(*command)
    first, _, rest = done.stdout.partition("\n")
    assert first == "Retraction 1 of dataset tickets"
    assert rest.split("\n", 2)[2] == shown.stdout.split("\n", 3)[3], "all but its number and time"
    for part in ("triage-first   3 of 5", "60.0%", "accuracy 0.500 on held-out", "tickets-copy  CC0-1.0  1",
                 "rebase freeze --successor-of triage-second"):  # fmt: skip
        assert part in done.stdout
    now = json.loads(invoke("retract", "show", "1", "--json").stdout)
    assert (now["record"].pop("retraction"), as_json["record"].pop("retraction")) == (1, None)
    del now["record"]["created_at"], as_json["record"]["created_at"]
    assert now == as_json
    datasets = json.loads(invoke("datasets", "--json").stdout)
    assert [one["name"] for one in datasets if one["withdrawn_by"] == 1] == ["tickets"]
    assert "withdrawn_by" in invoke("datasets").stdout
    offered = "`rebase freeze --successor-of triage-first` makes the set without them."
    assert offered in invoke("export", "set:triage-first", "--as", "prov").stderr
    made = invoke("freeze", "--successor-of", "set:triage-first")
    there = f"The set {made.stdout.strip()} is the same without them."
    assert there in invoke("export", "set:triage-first", "--as", "prov").stderr
    assert "2 examples, 3 of triage-first left out" in made.stderr
    assert made.stdout.strip() in invoke("retract", "show", "1").stdout
    with pytest.raises(RetractionError, match="retracted already, by retraction 1"):
        invoke(*command)
    undone = json.loads(invoke("retract", "undo", "1", "--reason", "settled", "--json").stdout)
    assert (undone["rows_back"], undone["record"]["undo_reason"]) == (4, "settled")
    (listed,) = json.loads(invoke("retract", "list", "--json").stdout)
    assert (listed["state"], listed["rows"], listed["datasets"]) == ("undone", 4, 1)
    assert "undone" in invoke("retract", "list").stdout


def test_erasing_asks_first_and_a_text_is_read_from_standard_input(shop: Shop, invoke: Callable[..., Result]) -> None:
    text = "when is the lift looked after next"
    assert invoke("retract", "text", "-", *REASON, input=f"{text}\n").exit_code == 0
    assert shop.retracted() == [("calls", 3)]
    refused = invoke("retract", "erase", "1")
    assert (refused.exit_code, where_it_is(shop) == []) == (2, False)
    assert "--yes" in refused.stderr
    erased = invoke("retract", "erase", "1", "--yes")
    assert "1 row, 1 text, 1 vector" in erased.stdout
    assert where_it_is(shop) == files_with(shop) == []
    again = invoke("retract", "erase", "1")
    assert "nothing that was not erased before" in again.stdout
    with pytest.raises(RetractionError) as told:
        invoke("retract", "text", text, *REASON)
    assert "its rows were erased on" in told.value.hint
    number = shop.one("SELECT example_id FROM example WHERE erased_by = 1")
    for looking in (("why", str(number)), ("why", str(number), "--json"), ("status",), ("datasets",)):
        assert invoke(*looking).exit_code == 0


def test_a_text_that_another_row_has_stays_but_is_not_shown_as_the_erased_rows(
    shop: Shop, invoke: Callable[..., Result]
) -> None:
    words = "the lift is stuck and I am in it"  # also calls:1
    done = invoke("retract", "row", "calls:0", *REASON, "--erase", "--yes")
    assert "Of its texts 1 had to stay" in done.stderr
    again = invoke("retract", "erase", "1")
    assert "but not 1 text of theirs" in again.stdout
    assert where_it_is(shop, words) != []
    number = shop.one("SELECT example_id FROM example WHERE erased_by = 1")
    shown = [invoke("why", str(number), *options).stdout for options in ((), ("--json",))]
    assert [words in text for text in shown] == [False, False]


def test_the_json_of_an_erasure_says_when_and_what(shop: Shop, invoke: Callable[..., Result]) -> None:
    shown = json.loads(invoke(*ERASE[:-2], "--preview", "--json").stdout)
    done = json.loads(invoke(*ERASE, "--json").stdout)
    again = json.loads(invoke("retract", "erase", "1", "--json").stdout)
    assert (done["erased"], done["erased"]["rows"]) == (shown["to_erase"], 1)
    assert (
        done["record"]["erased_at"]
        == again["record"]["erased_at"]
        == shop.one("SELECT erased_at FROM retraction").isoformat()
    )
    assert again["erased"]["rows"] == 0
    assert "to_erase" not in done | again


@pytest.mark.parametrize("command", [("show",), ("erase", "--yes"), ("undo", "--reason", "none")])
def test_a_number_that_no_retraction_can_have_is_unknown(
    invoke: Callable[..., Result], command: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownNameError, match="no retraction 99999999999"):
        invoke("retract", *command, "99999999999")


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", [FaultPoint.RETRACT_BEFORE_COMMIT, FaultPoint.ERASE_BEFORE_COMMIT, FaultPoint.ERASE_COMMITTED]
)
def test_killed_anywhere_it_has_changed_nothing_or_all(shop: Shop, tmp_path: Path, point: FaultPoint) -> None:
    def rebase(*arguments: str, fault: str = "") -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REBASE_")}
        environment |= {"REBASE_DATABASE_URL": shop.url, "REBASE_HOME": str(tmp_path), "REBASE_FAULT": fault}
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT,
        )  # fmt: skip

    before = where_it_is(shop)
    assert rebase(*ERASE, fault=point).returncode == -9
    if point is FaultPoint.ERASE_COMMITTED:
        assert (where_it_is(shop), shop.retracted()) == ([], [("calls", 3)])
        assert files_with(shop, WORD) != []
        done = rebase("retract", "erase", "1")
    else:
        assert (where_it_is(shop), shop.retracted()) == (before, [])
        done = rebase(*ERASE)
    assert done.returncode == 0, done.stderr
    assert (where_it_is(shop), files_with(shop, WORD), shop.retracted()) == ([], [], [("calls", 3)])
