"""`why` of an example that checks were made of: kept out, superseded, or read out of a stored answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from rebase_db.lineage.why import why
from tests.check.ground import OFF, Ground
from tests.schema.chain import add, digest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def shown(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """The lines of `rebase why`, at 80 columns, after checking that none is longer."""
    monkeypatch.setattr("cli.session.open_database", lambda: ground.engine)
    monkeypatch.setenv("COLUMNS", "80")

    def lines(example_id: int) -> list[str]:
        result = CliRunner().invoke(app, ["why", str(example_id)])
        assert result.exit_code == 0, result.output
        assert all(len(line) <= 80 for line in result.stdout.splitlines())
        return result.stdout.splitlines()

    return lines


def chain(ground: Ground, example_id: int) -> dict[str, Any]:
    with ground.engine.connect() as connection:
        return why(connection, example_id)


def line(shown: list[str], label: str) -> str:
    """The line (and what of it did not fit) that begins with a label."""
    start = next(place for place, text in enumerate(shown) if text.strip().startswith(label))
    end = next((p for p in range(start + 1, len(shown)) if not shown[p].startswith(" " * 8)), len(shown))
    return " ".join(" ".join(shown[start:end]).split())


def test_an_example_that_is_kept_out_says_by_what(ground: Ground, shown: Callable[[int], list[str]]) -> None:
    better = ground.put(1, "It meows.")
    worse = ground.put(2, "It meows!")
    ground.check({"length": {"action": "warn", "min_input": 20}})
    found = chain(ground, worse)
    checks = {check["name"]: check for check in found["checks"]}
    assert len(checks) == len(found["checks"])
    assert (found["link_state"], found["link_error"]) == ("rejected", "duplicate: the example failed this check")
    assert (checks["duplicate"]["verdict"], checks["duplicate"]["other_example_id"]) == ("fail", better)
    assert checks["duplicate"]["evidence"]["same_output"] is True
    assert (checks["copied_source"]["verdict"], checks["length"]["verdict"]) == ("pass", "warn")
    lines = shown(worse)
    assert line(lines, "checked") == "checked kept out by duplicate: the example failed this check"
    seen = f"of example {better}; how: same but for case, punctuation and spaces; text: It meows.; same output: true"
    assert line(lines, "failed") == f"failed duplicate 1 ({seen})"
    assert line(lines, "warned").startswith("warned length 1 (min: 20; field: input; characters: 9)")
    assert "copied_source 0" in line(lines, "passed")
    assert line(lines, "source").startswith("source letters default/train row")


def test_the_newest_word_of_a_check_is_shown(ground: Ground, shown: Callable[[int], list[str]]) -> None:
    example = ground.put(1, "It meows.")
    ground.check({"length": {"action": "reject", "min_input": 20}})
    ground.check({"length": {"action": "reject", "min_input": 5}})
    (length,) = [check for check in chain(ground, example)["checks"] if check["name"] == "length"]
    assert (length["verdict"], length["parameters"]["min_input"]) == ("pass", 5)
    lines = shown(example)
    assert line(lines, "checked") == "checked accepted"
    assert not [text for text in lines if text.strip().startswith("failed")]


def test_an_unchecked_example_says_nothing_of_checks(ground: Ground, shown: Callable[[int], list[str]]) -> None:
    example = ground.put(1, "It meows.")
    assert chain(ground, example)["checks"] == []
    assert not [text for text in shown(example) if text.startswith("checked")]


def test_a_superseded_example_says_so(ground: Ground, shown: Callable[[int], list[str]]) -> None:
    first = ground.put(1, "It meows.")
    ground.check()
    second = ground.put_again(first, ground.file.examples[0].input)
    ground.check({"length": OFF})
    assert [chain(ground, each)["superseded"] for each in (first, second)] == [True, False]
    assert line(shown(first), "checked") == "checked accepted at the time"
    assert line(shown(first), "superseded").startswith("superseded by a later attempt")
    assert line(shown(second), "checked").startswith("checked kept out by copied_example")


def test_a_reused_answer_is_shown_from_where_it_stands(ground: Ground, shown: Callable[[int], list[str]]) -> None:
    asked = ground.put(1, "It meows.")
    second = ground.put(2, "It moos.")
    with ground.engine.begin() as connection:
        (paid,) = ground.rows(
            "SELECT * FROM generation JOIN example USING (generation_id) WHERE example_id = :id", id=asked
        )
        again = add(
            connection, "generation", link_id=ground.links[second], attempt=2, teacher_id=paid.teacher_id,
            prompt_id=paid.prompt_id, worker_id=ground.worker_id, prompt_hash=paid.prompt_hash, raw_answer=None,
            latency_seconds=0, requests=0, outcome="parsed", reading="strict", reused_from=paid.generation_id,
        )  # fmt: skip
        reused = add(
            connection, "example", generation_id=again["generation_id"], link_id=ground.links[second],
            input="It meows.", output="cat", content_hash=digest("again"),
        )["example_id"]  # fmt: skip
    found = chain(ground, reused)
    assert found["raw_answer"] == paid.raw_answer == "{}"
    assert (found["reused_from"], found["generation_id"]) == (paid.generation_id, again["generation_id"])
    assert line(shown(reused), "reused").startswith(
        f"reused the answer of call {paid.generation_id} to the same prompt"
    )
    assert chain(ground, asked)["reused_from"] is None
    printed = json.loads(CliRunner().invoke(app, ["why", str(reused), "--json"]).stdout)
    assert printed["raw_answer"] == "{}"
