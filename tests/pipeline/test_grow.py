"""A round of growth: what it does, what it says, and that a killed one ends as an undisturbed one does."""

from __future__ import annotations

import json
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from rebase_db.faults import FaultPoint
from rebase_db.verify.run import verify
from tests.pipeline.conftest import WAYS, World
from tests.pipeline.end_state import end_state, illegal_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

TASK = "fruit-or-tool"


def own_corpus(world: World) -> Path:
    """The corpus as a copy that may change."""
    folder = world.folder / "corpus"
    if folder.is_symlink():
        template = folder.resolve()
        folder.unlink()
        shutil.copytree(template, folder)
    return folder


def add_dataset(world: World, name: str = "market") -> None:
    """Another dataset: eight sentences of the kind that the task is about, new to the corpus."""
    rows = [(WAYS[0].format("eat", f"ripe {thing}"), "fruit") for thing in ("apple", "pear", "plum", "lemon")]
    rows += [(WAYS[0].format("use", f"new {thing}"), "tool") for thing in ("saw", "axe", "file", "drill")]
    folder = own_corpus(world) / name
    folder.mkdir()
    lines = "".join(f'"{sentence}",{kind}\n' for sentence, kind in rows)
    (folder / "default.csv").write_text(f"text,kind\n{lines}")


def grow(world: World, *options: str, fault: str = "") -> dict[str, Any]:
    done = world.rebase("grow", TASK, "--json", *options, fault=fault)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


def without_times(receipt: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in receipt.items() if name != "since"}


@pytest.fixture
def started(world: World, engine: Engine) -> World:
    """A world whose task had its first round."""
    own_corpus(world)
    assert world.rebase("task", "add", str(world.task)).returncode == 0
    said = grow(world)
    assert (said["changed"], said["since_run"], said["trained"]) == (True, None, True)
    assert sum(one["added"] for one in said["loaded"]) == count(engine, "source_row")
    assert said["ranking"]["entered"] == 90
    assert said["calls"]["sent"] == 90
    assert said["accepted"] + sum(said["rejected"].values()) == 90
    assert said["training_set"]["size"] == said["training_set"]["joined"] == said["accepted"]
    return world


@pytest.mark.xdist_group("growing")
def test_rounds(started: World, engine: Engine) -> None:
    # Nothing has changed: the last round is told again, and nothing is done.
    tables = ("training_set", "training_run", "generation", "retrieval", "source_row", "evaluation")
    before = {table: count(engine, table) for table in tables}
    again = grow(started)
    assert (again["changed"], again["since_run"], again["training_set"]["size_before"]) == (False, None, 0)
    assert {table: count(engine, table) for table in tables} == before
    assert "Nothing has changed since run 1" in started.rebase("grow", TASK).stderr

    # A new dataset: only its rows are asked about, and the student learns from all of the new set.
    add_dataset(started)
    said = grow(started)
    assert said["loaded"] == [{"dataset": "market", "added": 8, "changed": 0, "removed": 0, "rejected": 0}]
    entered = said["ranking"]["entered"]
    assert 0 < entered == said["ranking"]["displaced"] == 90 - said["ranking"]["kept"]
    assert said["calls"]["sent"] == entered == said["accepted"] + sum(said["rejected"].values())
    assert (said["since_run"], said["run"], said["trained"]) == (1, 2, True)
    sets = said["training_set"]
    assert sets["size"] - sets["size_before"] == sets["joined"] - sets["gone"]
    assert said["score"]["before"] is not None

    # What the two sets share, and why one has not what the other has.
    first, second = (row[0] for row in rows(engine, "SELECT name FROM training_set ORDER BY training_set_id"))
    difference = json.loads(started.rebase("sets", "diff", first, second, "--json").stdout)
    assert (difference["only_a"], difference["only_b"]) == (sets["gone"], sets["joined"])
    assert difference["why_not_in_b"] == {"no longer ranked": sets["gone"]}
    assert difference["why_not_in_a"] == {"made later": sets["joined"]}
    listed = json.loads(started.rebase("sets", "list", "--json").stdout)
    assert [(one["training_set"], one["runs"]) for one in listed] == [(second, [2]), (first, [1])]

    # From the last student's weights, on what is new to it, by a source that the task file does not name.
    (started.folder / "stall.csv").write_text(
        'text,kind\n"eat a sweet melon today",fruit\n"use a small saw today",tool\n'
    )
    said = grow(started, "--from-parent", "--source", str(started.folder / "stall.csv"))
    assert [one["dataset"] for one in said["loaded"]] == ["stall"]
    assert (said["since_run"], said["run"], said["trained"]) == (2, 3, True)
    ((parent, settings),) = rows(
        engine, "SELECT parent_run_id, hyperparameters FROM training_run WHERE training_run_id = 3"
    )
    assert (parent, settings["trained_on"]) == (2, "new")
    # It has learned from all that the run before has, and from what is new.
    learned = rows(engine, "SELECT learned_by, count(*) FROM lineage.run_member WHERE training_run_id = 3 GROUP BY 1")
    ((union,),) = rows(
        engine,
        "SELECT count(DISTINCT example_id) FROM training_set_member JOIN training_run USING (training_set_id)"
        " WHERE training_run_id IN (2, 3)",
    )
    assert sum(number for _, number in learned) == union
    ((card,),) = rows(engine, "SELECT artifact_path FROM training_run WHERE training_run_id = 3")
    assert "started from run 2" in (started.folder / card / "README.md").read_text()
    assert not grow(started, "--from-parent")["changed"]
    assert count(engine, "training_run") == 3
    lies = list(verify(engine).lies) if hasattr(verify(engine), "lies") else []
    assert lies == []


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]
