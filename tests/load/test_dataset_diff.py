"""`rebase datasets`: the loads of a dataset, and what differs between two of them or between two datasets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from rebase_db.analytics.releases import diff_datasets, diff_loads, find_release
from rebase_db.errors import UnknownNameError
from rebase_db.ingest.load import load_dataset
from rebase_db.reference import find
from tests.load.sources import Row, dataset_of, split_of

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from rebase_db.analytics.releases import LoadDifference

A: list[Row] = [{"a": f"text {n}", "b": str(n)} for n in range(4)]
B: list[Row] = [A[0], {"a": "text 1", "b": "new"}, A[3], {"a": "more", "b": "9", "c": "x"}]
C: list[Row] = [A[0], {"a": "text 1", "b": "newer"}, A[2], A[3]]


@pytest.fixture
def releases(engine: Engine) -> Engine:
    """Three releases of dataset d, and a dataset e that shares rows with the first."""
    for rows in (A, B, C):
        load_dataset(engine, dataset_of("d", split_of(rows)), match="key:a")
    load_dataset(engine, dataset_of("e", split_of([A[2], A[2], A[0], {"a": "own", "z": "1"}], "other")))
    return engine


def between(engine: Engine, a: str, b: str, most: int | None = None) -> LoadDifference:
    with engine.connect() as connection:
        return diff_loads(connection, find_release(connection, a), find_release(connection, b), most)


def told(found: LoadDifference) -> list[tuple[str, list[tuple[str, str | None, str | None]]]]:
    return [(row.kind, row.cells()) for row in found.rows]


def test_two_loads_differ_by_rows_and_columns(releases: Engine) -> None:
    found = between(releases, "d@1", "d@2")
    assert found.splits == [
        {"config": "default", "split": "train", "added": 1, "changed": 1, "removed": 1, "unchanged": 2}
    ]
    assert told(found) == [
        ("removed", [("a", "text 2", None), ("b", "2", None)]),
        ("changed", [("b", "1", "new")]),
        ("added", [("a", None, "more"), ("b", None, "9"), ("c", None, "x")]),
    ]
    assert [(column.name, column.before, column.after) for column in found.columns] == [("c", None, "string")]
    back = between(releases, "d@2", "d@1")
    assert [row.kind for row in back.rows] == ["added", "changed", "removed"]
    assert told(back)[1] == ("changed", [("b", "new", "1")])
    assert [(column.name, column.before, column.after) for column in back.columns] == [("c", "string", None)]


def test_over_several_loads_a_row_that_came_back_is_unchanged_and_changes_add_up(releases: Engine) -> None:
    found = between(releases, "d@1", "d")
    assert found.splits[0] | {"config": "", "split": ""} == {
        "config": "", "split": "", "added": 0, "changed": 1, "removed": 0, "unchanged": 3,
    }  # fmt: skip
    assert told(found) == [("changed", [("b", "1", "newer")])]
    same = between(releases, "d@2", "d@2")
    assert (same.rows, same.columns, same.splits[0]["unchanged"]) == ([], [], 4)


def test_only_the_first_of_each_kind_are_shown_but_all_are_counted(engine: Engine) -> None:
    load_dataset(engine, dataset_of("d", split_of([{"a": str(n)} for n in range(9)])))
    load_dataset(engine, dataset_of("d", split_of([{"a": "0"}, *({"a": f"new {n}"} for n in range(8))])))
    found = between(engine, "d@1", "d@2", most=3)
    assert (len(found.rows), found.splits[0]["changed"]) == (3, 8)


def test_two_datasets_share_rows_of_equal_content(releases: Engine) -> None:
    with releases.connect() as connection:
        found = diff_datasets(connection, find_release(connection, "d@1"), find_release(connection, "e"))
    assert (found.equal, found.only_in_a, found.only_in_b) == (2, 2, 2)
    assert [(one["source_index"], other["source_index"]) for one, other in found.equal_rows] == [(0, 2), (2, 0)]
    assert [row["content"] for row in found.rows_of_b] == [A[2], {"a": "own", "z": "1"}]
    assert [(column.name, column.before, column.after) for column in found.columns] == [("z", None, "string")]


def test_what_is_not_there_is_said(releases: Engine) -> None:
    load_dataset(releases, dataset_of("with@2", split_of(A)))
    with releases.connect() as connection:
        assert (find_release(connection, "d").load, find_release(connection, "d@2").load) == (3, 2)
        assert find_release(connection, "with@2").dataset == "with@2"
        for said, says in (("d@9", "no load 9 of d"), ("d@x", "does not end in the number"), ("f", "no dataset 'f'")):
            with pytest.raises(UnknownNameError, match=says):
                find_release(connection, said)


def test_a_place_is_its_newest_row_and_earlier_ones_go_by_their_load(releases: Engine) -> None:
    with releases.connect() as connection:
        ids = {said: find(connection, f"row:d:{said}") for said in ("1", "1@1", "1@2", "1@3", "0")}
        assert [str(node.reference).removeprefix("row:d:default/train:") for node in ids.values()] == [
            "1", "1@1", "1@2", "1", "0",
        ]  # fmt: skip
        assert len({node.ids for node in ids.values()}) == 4
        with pytest.raises(UnknownNameError, match="Load 2 brought no row 0") as caught:
            find(connection, "row:d:0@2")
        assert "load 1" in caught.value.hint
        for wrong in ("row:d:1@", "row:d:@1", "row:d:1@x"):
            with pytest.raises(UnknownNameError, match="does not end in a number"):
                find(connection, wrong)


def test_the_commands(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.session.open_database", lambda: engine)

    def rebase(*arguments: str) -> Any:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    path = tmp_path / "d.jsonl"
    for rows in (A, B):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (receipt,) = rebase("ingest", str(path), "--match", "key=a", "--json")
    assert {name: receipt[name] for name in ("rows_added", "rows_changed", "rows_removed", "rows_unchanged")} == {
        "rows_added": 1, "rows_changed": 1, "rows_removed": 1, "rows_unchanged": 2,
    }  # fmt: skip
    assert [(change["name"], change["before"], change["after"]) for change in receipt["changed_columns"]] == [
        ("c", None, "string")
    ]
    ((listed),) = rebase("datasets", "--json")
    assert (listed["name"], listed["rows"]) == ("d", 4)
    shown = rebase("datasets", "show", "d", "--json")
    assert [(one["load"], one["added"], one["changed"], one["removed"], one["unchanged"]) for one in shown] == [
        (1, 4, 0, 0, 0), (2, 1, 1, 1, 2),
    ]  # fmt: skip
    assert "d" in rebase("datasets")
    assert rebase("datasets", "show", "d")
    said = rebase("datasets", "diff", "d@1", "d")
    assert "b: 1 → new" in said
    found = rebase("datasets", "diff", "d@1", "d@2", "--json")
    assert [row["kind"] for row in found["rows"]] == ["removed", "changed", "added"]
    rebase("ingest", str(path), "--name", "e")
    assert "of equal content" in rebase("datasets", "diff", "d", "e")
    assert rebase("datasets", "diff", "d", "e", "--json")["equal"] == 4
    said = rebase("ingest", str(path), "--name", "d")
    assert "4" in said
