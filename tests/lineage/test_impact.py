"""Impact, counted in Python over what was put there, for every kind of scope; and what the command prints of it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cli.impact import _show
from cli.main import app
from rebase_db.errors import UnknownNameError
from rebase_db.lineage.impact import Impact, impact
from rebase_db.lineage.scope import Scope, scope_of
from rebase_db.reference import find
from tests.lineage.graph_of_keys import KeyGraph
from tests.lineage.test_trace import Put, grown  # noqa: F401 - the fixture
from tests.schema.chain import digest

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.schema.chain import Row

SCOPES = (
    "dataset:numbers", "dataset:letters", "licence:MIT", "licence:unknown", "row:numbers:default/train:1",
    "row:letters:default/train:0", "teacher:1", "prompt:1", "task:letters", "encoder:1", "retrieval:1",
)  # fmt: skip


NOTHING = Impact(0, 0, 0, 0, 0, None, 0, 0, 0, 0, 0, 0, 0, None, [], [], [])


def counted(connection: Connection, reference: str) -> dict[str, Any]:
    """The stages of a scope, walked link by link in Python."""
    keys = KeyGraph(connection)
    node = find(connection, reference)
    below = keys.reached((node.kind, node.key), "down") | {(node.kind, node.key)}
    links = {key for kind, key in below if kind == "link"}
    calls = {key for kind, key in below if kind == "call"}
    if node.kind in {"teacher", "prompt"}:
        links = {key for call in calls for kind, key in keys.parents["call", call] if kind == "link"}
    # An answer used again makes a call of another link; what it led to is not of the scope.
    calls = {call for call in calls if {key for kind, key in keys.parents["call", call] if kind == "link"} <= links}
    own = {key for call in calls for kind, key in keys.children["call", call] if kind == "example"}
    touched = own | {
        key for example in own for kind, key in keys.reached(("example", example), "down") if kind == "example"
    }
    sets = {
        key: len({example for kind, example in keys.parents["set", key] if kind == "example"} & touched)
        for example in touched
        for kind, key in keys.children["example", example]
        if kind == "set"
    }
    runs = {key for of_set in sets for kind, key in keys.children["set", of_set] if kind == "run"}
    worked_on = {key for link in links for kind, key in keys.parents["link", link] if kind == "row"}
    rows = {key for kind, key in below if kind == "row"} if node.kind in {"dataset", "licence", "row"} else worked_on
    return {
        "rows": len(rows), "rows_retrieved": len(worked_on), "links": len(links), "calls": len(calls),
        "examples": len(own), "derived": len(touched - own), "sets": sets, "runs": runs,
    }  # fmt: skip


@pytest.mark.parametrize("reference", SCOPES)
def test_every_stage_is_counted(grown: Connection, reference: str) -> None:  # noqa: F811
    found = impact(grown, scope_of(grown, find(grown, reference)))
    wanted = counted(grown, reference)

    assert {
        **{name: getattr(found, name) for name in wanted},
        "sets": {str(each.training_set_id): each.examples for each in found.sets},
        "runs": {str(each.training_run_id) for each in found.runs},
    } == wanted
    parts = found.retracted, found.displaced, found.accepted, found.kept_out, found.superseded
    assert sum(parts) == found.examples
    assert (found.judged is None) == (reference.partition(":")[0] not in {"teacher", "prompt"})


def test_what_examples_were_made_from_counts_too(grown: Connection) -> None:  # noqa: F811
    """The newest example was made of one that came of row 2, so the set holds two that rest on that row."""
    found = impact(grown, scope_of(grown, find(grown, "row:numbers:default/train:2")))

    assert (found.examples, found.derived) == (1, 1)
    assert [(each.name, each.examples, each.size) for each in found.sets] == [("letters-2", 2, 3)]
    assert found.sets[0].share == pytest.approx(2 / 3)
    (run,) = found.runs
    assert [(score.metric, score.benchmark) for score in run.scores] == [("accuracy", "b")]
    assert [(each.name, each.examples, each.stated, each.best_confidence) for each in found.published] == [
        ("p", 1, 0, 0.5)
    ]


def test_rows_dataset_and_retraction_agree(grown: Connection) -> None:  # noqa: F811
    """The same rows named in three ways."""
    dataset = find(grown, "dataset:numbers").ids[0]
    newest = grown.execute(text("SELECT max(retraction_id) FROM retraction")).scalar_one()
    by_dataset = impact(grown, Scope(datasets=(int(dataset),)))

    assert impact(grown, Scope(rows=tuple((int(dataset), row) for row in range(1, 5)))) == by_dataset
    assert impact(grown, Scope(retractions=(newest,))) == by_dataset
    assert replace(by_dataset, published=[]) != replace(impact(grown, Scope(teachers=(1,))), published=[])


def test_nothing_came_of_a_row_nobody_retrieved(grown: Connection) -> None:  # noqa: F811
    assert impact(grown, Scope(rows=((10_000, 1),))) == replace(NOTHING, rows=1)


def test_of_what_nothing_came_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    _show("teacher:2", NOTHING)
    _show("row:a:0", replace(NOTHING, rows=1))
    _show("teacher:3", replace(NOTHING, judged=2))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "teacher:2", "Nothing came of it.",
        "row:a:0", "what count", "rows 1 0 of them retrieved for a task", "Nothing came of it.",
        "teacher:3", "what count", "judged 2 examples, whoever made them",
    ]  # fmt: skip


def test_what_is_withdrawn_or_left_out_is_accepted_no_more(grown: Connection) -> None:  # noqa: F811
    scope = scope_of(grown, find(grown, "dataset:numbers"))
    for change, rows, expected in (
        ("retracted_at = NULL, displaced_by = NULL, state = 'transformed'", 4, (0, 0, 3, 0, 0)),
        ("displaced_by = entered_by", 2, (0, 2, 1, 0, 0)),
        ("retracted_at = clock_timestamp()", 1, (1, 1, 1, 0, 0)),
    ):
        query = text(f"UPDATE retrieval_link SET {change} WHERE dataset_id = :dataset AND row_id <= :rows")  # noqa: S608
        grown.execute(query, {"dataset": scope.datasets[0], "rows": rows})
        found = impact(grown, scope)
        assert (
            found.retracted, found.displaced, found.accepted, found.kept_out, found.superseded,
        ) == expected, change  # fmt: skip


def test_what_a_teacher_judged_is_counted(grown: Connection, chain: dict[str, Row]) -> None:  # noqa: F811
    """Each example once, however often; of a judge that made none there are no calls."""
    put = Put(grown, chain)
    judge, example = put("teacher", content_hash=digest("judge")), chain["judgement"]["example_id"]
    for one in (example, example, example + 1):
        put("judgement", example_id=one, teacher_id=judge)
    found = impact(grown, scope_of(grown, find(grown, f"teacher:{judge}")))

    assert (found.judged, found.calls, found.examples) == (2, 0, 0)


def test_other_kinds_are_refused(connection: Connection) -> None:
    with pytest.raises(UnknownNameError, match="impact of a set is not counted"):
        scope_of(connection, find(connection, "set:letters-1"))


def test_the_command_prints_counts_and_shares(
    lineage: tuple[Engine, dict[str, Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = lineage
    monkeypatch.setattr("cli.session.open_database", lambda: engine)
    monkeypatch.setenv("COLUMNS", "80")
    runner = CliRunner()

    printed = runner.invoke(app, ["impact", "dataset:letters"])
    assert printed.exit_code == 0, printed.output
    lines = [" ".join(line.split()) for line in printed.stdout.splitlines()]
    assert "rows 1 1 of them retrieved for a task" in lines
    assert "letters-1 1 1 100.0%" in lines
    assert "1 letters-1 100.0% done accuracy 0.500 on b" in lines
    assert "p 1 1 0 0.50" in lines

    assert not [line for line in lines if line.startswith(("derived", "judged"))]

    found = json.loads(runner.invoke(app, ["impact", "dataset:letters", "--json"]).stdout)
    with engine.connect() as connection:
        counts = asdict(impact(connection, Scope(datasets=(1,))))
    assert found == {"reference": "dataset:letters", **counts}
    assert counts["cost"] in {None, Decimal(0)}
