from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cli.main import app
from rebase_db.audit.report import audit
from rebase_db.audit.rows import Row
from rebase_db.audit.sources import concentration, mirrors
from rebase_db.audit.subject import Item, RankedRow, Source, Subject
from rebase_db.check.verdict import TaskFacts
from rebase_db.errors import UnknownNameError
from rebase_db.evaluate.benchmark_file import read_benchmark
from rebase_db.evaluate.store import register_benchmark
from rebase_db.task.checks import Checks
from rebase_db.task.store import add_task
from tests.audit.bazaar import LOST, TASK
from tests.check.ground import new_ground
from tests.schema.chain import add

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Engine
    from typer.testing import Result

    from rebase_db.audit.finding import Finding
    from tests.audit.conftest import Imported


@pytest.fixture
def invoke(imported: Imported, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command on the bazaar's database."""
    monkeypatch.setattr("cli.session.open_database", lambda: imported.engine)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def findings(imported: Imported, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    """Of the bazaar's publication, by name; one of its rows is an item of a benchmark."""
    row = imported.bazaar.texts["r2"]
    file = tmp_path_factory.mktemp("benchmark") / "stall-quiz.jsonl"
    lines = [
        {"id": "q1", "input": row, "output": "glad"},
        {"id": "q2", "input": "of nothing that is there", "output": "no"},
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with imported.engine.begin() as connection:
        register_benchmark(connection, read_benchmark(file), file.as_uri())
        report = audit(connection, TASK.name, publication=imported.receipt.publication)
    assert (report.examples, report.ranked) == (58, 60)
    return {one.name: one for one in report.findings}


def test_mirrors(findings: dict[str, Finding]) -> None:
    found = findings["mirrors"]
    assert (found.count, found.of, found.sure) == (20, 60, "exact")
    assert found.numbers["pairs"] == [{"datasets": ["bazaar/reviews", "mirror/reviews"], "rows": 20}]
    assert found.samples[0] == "rank 2 (mirror/reviews) repeats rank 1 (bazaar/reviews)"


def test_drift(findings: dict[str, Finding]) -> None:
    found = findings["drift"]
    changes = found.numbers["changes"]
    assert [(one["from"], one["to"]) for one in changes] == [(0, 1), (1, 2)]
    # One of a mirrored pair was lost: the place is known but for that.
    for change, lost in zip(changes, LOST, strict=True):
        assert abs(change["position"] + change["from"] - lost) <= 1
        assert change["after"] < change["position"] <= change["by"]
    assert found.count >= 58 - LOST[0]
    assert found.numbers["placed"] + found.numbers["unplaced"] == 58
    assert "confidence" in found.sure


def test_texts(findings: dict[str, Finding]) -> None:
    assert (findings["duplicates"].count, findings["duplicates"].numbers["verbatim_with_output"]) == (1, 1)
    assert findings["copied examples"].count == 1
    assert findings["copied examples"].samples[0].startswith("published:")
    labels = findings["rare or missing labels"]
    counts = {"glad": 57, "cross": 1, "calm": 0}
    assert labels.numbers == {"labels": counts, "no_label": 0, "rare": ["cross"], "missing": ["calm"]}
    assert (labels.count, labels.of) == (2, 3)
    assert labels.says.endswith("0 end in no label. cross is rare. calm is missing.")


def test_concentration(findings: dict[str, Finding]) -> None:
    found = findings["concentration"]
    # 38 of the 58 outputs are of the one dataset, as far as mirrors can be told apart.
    assert found.numbers["top_share"] == pytest.approx(39 / 58, abs=0.03)
    assert found.numbers["effective_datasets"] == pytest.approx(1.9, abs=0.05)
    assert set(found.numbers["licences"]) == {"MIT", "not stated"}
    assert "confidence" in found.sure


def subject_of(items: Sequence[Item], ranking: Sequence[RankedRow]) -> Subject:
    """Of rows 1 of dataset 1, whose licence is not stated."""
    rows = {(1, 1): Row({}, bytes(32), erased=False)}
    return Subject("t", "p", items, ranking, rows, {1: ("here", None)}, TaskFacts([], None), Checks(), None)


def test_rows_that_are_not_in_the_database_are_said_to_be_none() -> None:
    ranking = [RankedRow(1, "here", (1, 1)), RankedRow(2, "elsewhere", None), RankedRow(3, "elsewhere", None)]
    found = concentration(subject_of([], ranking))
    assert found.numbers["licences"] == {"not in the database": 2, "not stated": 1}
    assert found.says.startswith("elsewhere is 67% of 3 ranked rows; 2 are not in the database. The 2 datasets")
    assert not found.sure.startswith("exact")
    assert concentration(subject_of([], ranking[:1])).sure.startswith("exact")
    assert mirrors(subject_of([], ranking[:2])).says.endswith("and so not compared: 1 ranked row.")


def test_a_faint_guess_is_a_finding_all_the_same() -> None:
    item = Item(1, 1, "a", "b", [Source((1, 1), "text", 0.1)])
    found = concentration(subject_of([item], []))
    assert (found.count, found.of) == (1, 1)


def test_contamination(findings: dict[str, Finding]) -> None:
    # Both mirrors of the row; its outputs have other words around the quotation, but fewer than the item has.
    assert (findings["contaminated rows"].count, findings["contaminated rows"].of) == (2, 60)
    assert findings["contaminated rows"].numbers == {"benchmarks": {"stall-quiz": 2}}
    assert findings["contaminated examples"].of == 58


def test_a_task_without_publication_is_audited_on_its_own_examples(engine: Engine) -> None:
    ground = new_ground(engine)
    ground.put(1, "It purrs.", source={"letter": "a purring thing"})
    ground.put(2, "It purrs.")
    ground.put(3, "It barks and it guards the house.", "dog")
    ground.put(4, "It was kept out.", state="rejected")
    with engine.connect() as connection:
        report = audit(connection, ground.file.name)
        found = {one.name: one for one in report.findings}
    assert (report.publication, report.examples) == (None, 3)
    assert found["duplicates"].count == found["copied examples"].count == 1
    assert found["copied examples"].samples[0].startswith("example:")
    assert "drift" not in found
    assert (found["concentration"].count, found["concentration"].sure) == (3, "exact")
    # The chain the ground stands on has a benchmark; without one there is nothing to compare with.
    assert {"contaminated examples", "contaminated rows"} <= found.keys()


def test_its_own_examples_are_those_of_the_live_ranking(engine: Engine) -> None:
    """Not of a version that nothing was retrieved for yet, nor under an encoder whose retrieval is not done."""
    ground = new_ground(engine)
    ground.put(1, "It purrs.")
    with engine.begin() as connection:
        add_task(connection, ground.file.model_copy(update={"instruction": "Name the animal, in a word."}))
        encoder = {key: value for key, value in ground.chain["encoder"].items() if key not in {"encoder_id", "seal"}}
        other = add(connection, "encoder", **encoder | {"name": "another"})["encoder_id"]
        add(
            connection, "retrieval", task_version_id=ground.lane[0], encoder_id=other, top_n=9, scoring="max-rank",
            mirrors="all", state="waiting",
        )  # fmt: skip
        report = audit(connection, ground.file.name, own=True)
    assert (report.examples, report.ranked) == (1, 1)


def test_nothing_to_audit(engine: Engine, imported: Imported) -> None:
    with engine.begin() as connection:
        add_task(connection, TASK)
        with pytest.raises(UnknownNameError, match="nothing to audit"):
            audit(connection, TASK.name)
        with pytest.raises(UnknownNameError, match="no task 'other'"):
            audit(connection, "other")
    with imported.engine.connect() as connection:
        with pytest.raises(UnknownNameError, match="no publication 'stalls/mood-pub'") as unknown:
            audit(connection, TASK.name, publication="stalls/mood-pub")
        assert "stalls/mood-published" in unknown.value.hint


def test_the_commands(invoke: Callable[..., Result], imported: Imported, tmp_path: Path) -> None:
    publication = imported.receipt.publication
    shown = invoke("audit", TASK.name, "--publication", publication)
    assert shown.exit_code == 0, shown.output
    assert "mirrors: 20 of 60 (33.3%)" in shown.stdout
    assert "+1 to +2, 1 missing" in shown.stdout
    assert len(shown.stdout.splitlines()) < 100
    as_json: dict[str, Any] = json.loads(invoke("audit", TASK.name, "--publication", publication, "--json").stdout)
    assert as_json["findings"][0]["name"] == "mirrors"
    again = invoke("import-rebase", str(imported.bazaar.folder), "--task", TASK.name)
    assert (again.exit_code, again.stdout.strip()) == (0, publication)
    assert "nothing is added" in again.stderr
    assert "--ranking" in again.stderr
    assert f"retrieved{'/'}stalls__mood.csv" in again.stderr
    file = tmp_path / "own.jsonl"
    file.write_text('{"q": "The stall sells bread.", "a": "calm"}\n{"q": "", "a": "calm"}', encoding="utf-8")
    own = invoke(
        "import-examples",
        str(file),
        "--task",
        TASK.name,
        "--input",
        "q",
        "--output",
        "a",
        "--on-error",
        "skip",
        "--json",
    )
    assert own.exit_code == 0, own.output
    receipt = json.loads(own.stdout)
    assert (receipt["examples"], receipt["unplaced"], len(receipt["rejected"])) == (1, 1, 1)
    assert "row 1, column 'q': has no text" in own.stderr
    with imported.engine.connect() as connection:
        stored = connection.execute(
            text("SELECT input FROM published_example WHERE publication_id = :id"), {"id": receipt["publication_id"]}
        ).scalars()
        assert list(stored) == ["The stall sells bread."]
