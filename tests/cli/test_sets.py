"""`rebase sets`: which there are, and how two differ, on a shop whose corpus grew between them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cli.main import app
from tests.retract.conftest import shop, shop_template

if TYPE_CHECKING:
    from tests.retract.conftest import Shop

__all__ = ["shop", "shop_template"]  # fixtures of another folder are ones here by their names

FIRST, SECOND = "triage-first", "triage-second"


@pytest.fixture(autouse=True)
def _database(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.session.open_database", lambda: shop.engine)
    monkeypatch.setenv("COLUMNS", "120")


def said(*arguments: str) -> Any:
    result = CliRunner().invoke(app, ["sets", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_sets_are_listed_with_their_runs() -> None:
    listed = said("list")
    assert [(one["training_set"], one["task"], one["runs"]) for one in listed] == [
        (SECOND, "triage", [2]),
        (FIRST, "triage", [1]),
    ]
    assert said("list", "--task", "urgency") == []
    shown = CliRunner().invoke(app, ["sets", "list"]).stdout
    assert FIRST in shown
    assert SECOND in shown


def test_a_set_says_what_it_was_chosen_from(shop: Shop) -> None:
    for name, size, selection in shop.rows("SELECT name, size, selection FROM training_set"):
        assert sum(selection["datasets"].values()) == sum(selection["labels"].values()) == size, name
        assert selection["left_out"].keys() <= {"displaced"} | {
            each for each in selection["left_out"] if each.startswith("rejected: ")
        }
        # Every link of the task is chosen or left out.
        links = shop.one(
            "SELECT count(*) FROM retrieval_link WHERE entered_by <= :retrieval AND task_version_id = 1",
            retrieval=selection["retrieval_id"],
        )
        assert size + sum(selection["left_out"].values()) == links
        definitions = {(row.name, row.check_id) for row in shop.rows("SELECT name, check_id FROM check_definition")}
        assert selection["checks"].items() <= definitions
        assert "label" in selection["checks"]


def test_two_sets_differ_as_their_members_do_and_say_why(shop: Shop) -> None:
    in_set = "SELECT example_id FROM training_set_member JOIN training_set USING (training_set_id) WHERE name = :name"
    a, b = ({row.example_id for row in shop.rows(in_set, name=name)} for name in (FIRST, SECOND))
    found = said("diff", FIRST, SECOND)
    assert (found["both"], found["only_a"], found["only_b"]) == (len(a & b), len(a - b), len(b - a))
    assert {(one["example"], one["only_in"]) for one in found["examples"]} == {(each, "a") for each in a - b} | {
        (each, "b") for each in b - a
    }
    assert sum(found["why_not_in_b"].values()) == len(a - b) > 0
    assert set(found["why_not_in_a"]) == {"made later"}
    for counts in (found["datasets"], found["labels"]):
        assert [sum(one[side] for one in counts.values()) for side in ("both", "a", "b")] == [
            len(a & b),
            len(a - b),
            len(b - a),
        ]
    # What is withdrawn since is said so, before anything else.
    gone = min(a - b)
    ((row,),) = shop.rows(
        "SELECT dataset || ':' || config || '/' || split || ':' || source_index FROM lineage.example"
        " WHERE example_id = :gone",
        gone=gone,
    )
    shop.retract("row", row)
    assert {one["example"]: one["why"] for one in said("diff", FIRST, SECOND)["examples"]}[gone] == "retracted"
    shown = CliRunner().invoke(app, ["sets", "diff", FIRST, SECOND]).stdout
    assert "retracted" in shown


def test_equal_words_of_another_example_are_recognised(shop: Shop) -> None:
    before = said("diff", FIRST, SECOND)
    assert before["same_content_other_example"] == 0
    (gone, *_), (came, *_) = (
        [one["example"] for one in before["examples"] if one["only_in"] == side] for side in ("a", "b")
    )
    with shop.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        same = "UPDATE example SET content_hash = (SELECT content_hash FROM example WHERE example_id = :gone)"
        connection.execute(text(f"{same} WHERE example_id = :came"), {"gone": gone, "came": came})
    found = said("diff", FIRST, SECOND)
    assert found["same_content_other_example"] == 1
    assert {one["example"]: one["same_content"] for one in found["examples"] if one["same_content"]} == {
        gone: came,
        came: gone,
    }


def test_an_unknown_set_is_refused() -> None:
    result = CliRunner().invoke(app, ["sets", "diff", FIRST, "triage-secnd"])
    assert result.exception is not None
    assert "There is no training set 'triage-secnd'" in str(result.exception)
