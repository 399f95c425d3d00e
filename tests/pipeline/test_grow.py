"""A round of growth: what it does, what it says, and that a killed one ends as an undisturbed one does."""

from __future__ import annotations

import json
import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from rebase_db.database.engine import engine_for
from rebase_db.distill.compare import compare_sets, list_sets
from rebase_db.faults import FaultPoint
from rebase_db.verify.run import Tally, verify
from tests.conftest import cloned_database
from tests.pipeline.conftest import WAYS, World, settle
from tests.pipeline.end_state import end_state, illegal_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

TASK = "fruit-or-tool"
pytestmark = pytest.mark.timeout(900)  # rounds are processes of their own, each of which loads models
FAULTS = (
    f"{FaultPoint.INGEST_BEFORE_COMMIT}:1",
    f"{FaultPoint.INGEST_COMMITTED}:1",
    FaultPoint.RETRIEVE_SCORED,
    FaultPoint.FREEZE_BEFORE_COMMIT,
    f"{FaultPoint.DISTILL_STEP}:1",
    # After the score, before the receipt is counted, and on the way.
    *(f"{FaultPoint.STATEMENT}:{number}" for number in (15, 45, 75, 105)),
)


def add_dataset(folder: Path) -> None:
    """Another dataset: eight sentences of the kind that the task is about, new to the corpus."""
    rows = [(WAYS[0].format("eat", f"ripe {thing}"), "fruit") for thing in ("apple", "pear", "plum", "lemon")]
    rows += [(WAYS[0].format("use", f"new {thing}"), "tool") for thing in ("saw", "axe", "file", "drill")]
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


@pytest.fixture(scope="session")
def first_round(
    world_template: Path, server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A world whose task had its first round; for tests to clone its database. Its corpus has another dataset since."""
    folder = tmp_path_factory.mktemp("growing") / "world"
    with cloned_database(server_url, template_database) as url:
        world = settle(world_template, folder, url)
        (folder / "corpus").unlink()
        shutil.copytree(world_template / "corpus", folder / "corpus")
        said = world.rebase("run", str(world.task))
        assert said.returncode == 0, said.stderr
        yield world


@contextmanager
def cloned(world: World, server_url: str) -> Iterator[tuple[World, Engine]]:
    """The world with a copy of its database; the folder is one for all."""
    with cloned_database(server_url, world.database_url.rpartition("/")[2].partition("?")[0]) as url:
        engine = engine_for(url)
        yield World(world.folder, url), engine
        engine.dispose()


@pytest.fixture
def started(first_round: World, server_url: str) -> Iterator[tuple[World, Engine]]:
    with cloned(first_round, server_url) as (world, engine):
        yield world, engine


@pytest.fixture(scope="session")
def grown(first_round: World, server_url: str) -> tuple[dict[str, Any], dict[str, list[tuple[Any, ...]]]]:
    """The receipt and the end state of a second round that nothing happened to; the corpus has grown."""
    market = first_round.folder / "corpus" / "market"
    if not market.exists():
        add_dataset(market)
    with cloned(first_round, server_url) as (world, engine):
        return grow(world, "--from-parent"), end_state(engine)


@pytest.mark.xdist_group("growing")
def test_rounds(started: tuple[World, Engine]) -> None:
    world, engine = started
    market = world.folder / "corpus" / "market"
    shutil.rmtree(market, ignore_errors=True)
    # Nothing has changed: the last round is told again, and nothing is done.
    tables = ("training_set", "training_run", "generation", "retrieval", "source_row", "evaluation")
    before = {table: count(engine, table) for table in tables}
    again = grow(world)
    assert (again["changed"], again["since_run"], again["trained"]) == (False, None, True)
    assert sum(one["added"] for one in again["loaded"]) == before["source_row"]
    assert again["ranking"]["entered"] == again["calls"]["sent"] == 90
    assert again["accepted"] + sum(again["rejected"].values()) == 90
    assert again["training_set"]["size"] == again["training_set"]["joined"] == again["accepted"]
    assert {table: count(engine, table) for table in tables} == before

    # A new dataset: only its rows are asked about, and the student learns from all of the new set.
    add_dataset(market)
    said = grow(world)
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
    with engine.connect() as connection:
        difference = compare_sets(connection, first, second).as_dict()
        listed = list_sets(connection)
    assert (difference["only_a"], difference["only_b"]) == (sets["gone"], sets["joined"])
    assert difference["why_not_in_b"] == {"no longer ranked": sets["gone"]}
    assert difference["why_not_in_a"] == {"made later": sets["joined"]}
    assert [(one["training_set"], one["runs"]) for one in listed] == [(second, [2]), (first, [1])]

    # From the last student's weights, on what is new to it, by a source that the task file does not name.
    (world.folder / "stall.csv").write_text(
        'text,kind\n"eat a sweet melon today",fruit\n"use a small saw today",tool\n'
    )
    said = grow(world, "--from-parent", "--source", str(world.folder / "stall.csv"))
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
    assert "started from run 2" in (world.folder / card / "README.md").read_text()
    assert list(verify(engine, Tally())) == []


def killed_and_grown(world: World, engine: Engine, faults: Iterable[str]) -> dict[str, Any]:
    """The receipt of a round that died at each of some faults, one after the other, and was begun again."""
    for fault in faults:
        killed = world.rebase("grow", TASK, "--from-parent", fault=fault)
        assert killed.returncode == -signal.SIGKILL, f"{fault} was not reached: {killed.stderr}"
    said = grow(world, "--from-parent")
    assert illegal_events(engine) == []
    return said


@pytest.mark.xdist_group("growing")
@pytest.mark.slow
def test_killed_in_one_stage_after_the_other(
    grown: tuple[dict[str, Any], dict[str, list[tuple[Any, ...]]]], started: tuple[World, Engine]
) -> None:
    """The receipt is of the whole round, and so of every call, each paid once."""
    receipt, end = grown
    said = killed_and_grown(*started, (FaultPoint.EMBED_WRITTEN, FaultPoint.DISTILL_SAVED))
    assert without_times(said) == without_times(receipt)
    assert end_state(started[1]) == end
    assert said["calls"]["sent"] == said["ranking"]["entered"] > 0


@pytest.mark.slow
@pytest.mark.xdist_group("growing")
@pytest.mark.parametrize("fault", FAULTS)
def test_killed_at_a_point(
    grown: tuple[dict[str, Any], dict[str, list[tuple[Any, ...]]]], started: tuple[World, Engine], fault: str
) -> None:
    receipt, end = grown
    said = killed_and_grown(*started, [fault])
    assert without_times(said) == without_times(receipt)
    assert end_state(started[1]) == end


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]
