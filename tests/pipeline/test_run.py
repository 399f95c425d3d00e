"""`rebase run`, as a person uses it: once, again, and after a change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from sqlalchemy import text

from tests.pipeline.end_state import end_state, illegal_events

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.pipeline.conftest import WholeRun, World


@pytest.mark.xdist_group("a whole run")
def test_a_run_does_everything_and_a_second_one_nothing(whole_run: WholeRun) -> None:
    world, engine = whole_run.world, whole_run.engine
    assert "accuracy" in whole_run.said.stdout
    state = end_state(engine)
    assert {row[0] for row in state["runs"]} == {"done"}
    assert state["scores of runs"][0][1] == sum(row[3] for row in state["predictions"]) / 16
    assert len(state["links"]) == 90
    with engine.connect() as connection:
        events = connection.execute(text("SELECT count(*) FROM event")).scalar_one()

    second = world.rebase("run", str(world.task))
    assert second.returncode == 0, second.stderr
    assert end_state(engine) == state
    assert illegal_events(engine) == []
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM event")).scalar_one() == events
        assert connection.execute(text("SELECT count(*) FROM training_run")).scalar_one() == 1


@pytest.mark.xdist_group("a whole run")
def test_every_example_leads_back_to_its_row(whole_run: WholeRun) -> None:
    world, engine = whole_run.world, whole_run.engine
    with engine.connect() as connection:
        ids = connection.execute(text("SELECT example_id FROM example ORDER BY example_id")).scalars().all()
    shown = world.rebase("why", str(ids[0]))
    assert shown.returncode == 0
    assert "row" in shown.stdout
    found = json.loads(world.rebase("why", str(ids[-1]), "--json").stdout)
    content = found["content"]
    assert found["input"] in (content.get("text"), content.get("body.text"))
    assert found["went"][0]["run_state"] == "done"
    assert found["went"][0]["benchmark"] == "items"
    missing = world.rebase("why", "999999")
    assert missing.returncode == 8
    assert missing.stderr.startswith("error: There is no example 999999.")


@pytest.mark.slow
def test_a_changed_rule_asks_again_and_keeps_what_was(world: World, engine: Engine) -> None:
    task = yaml.safe_load(world.task.read_text())
    task["checks"] = {"duplicate": {"action": "off"}}  # the notes repeat the others' texts, and count here all the same
    world.task.write_text(yaml.safe_dump(task, sort_keys=False))
    assert world.rebase("run", str(world.task)).returncode == 0
    with engine.connect() as connection:
        calls = connection.execute(text("SELECT count(*) FROM generation")).scalar_one()
        rejected = connection.execute(text("SELECT count(*) FROM retrieval_link WHERE state = 'rejected'")).scalar_one()
    task["teacher"]["rules"][0]["labels"]["other"] = "tool"
    world.task.write_text(yaml.safe_dump(task, sort_keys=False))
    assert world.rebase("run", str(world.task)).returncode == 0
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM generation")).scalar_one() == 2 * calls
        assert rejected > 0
        states = connection.execute(text("SELECT DISTINCT state FROM retrieval_link")).scalars().all()
        assert states == ["distilled"]
        assert connection.execute(text("SELECT count(*) FROM training_set")).scalar_one() == 2


@pytest.mark.slow
def test_the_steps_one_by_one_arrive_where_run_does(world: World, engine: Engine) -> None:
    for step in (
        ("ingest", str(world.folder / "corpus")),
        ("task", "add", str(world.task)),
        ("embed", "--encoder", str(world.folder.resolve() / "encoder")),
        ("retrieve", "fruit-or-tool"),
        ("transform", "fruit-or-tool"),
    ):
        done = world.rebase(*step)
        assert done.returncode == 0, done.stderr
    frozen = world.rebase("freeze", "fruit-or-tool").stdout.strip()
    run = world.rebase("distill", "fruit-or-tool", "--training-set", frozen).stdout.strip()
    score = world.rebase("evaluate", "fruit-or-tool", "--run", run)
    assert "accuracy" in score.stdout, score.stderr
    state = end_state(engine)
    assert world.rebase("run", str(world.task)).returncode == 0
    assert end_state(engine) == state


@pytest.mark.slow
def test_a_narrower_retrieval_displaces_and_a_wider_one_brings_back(world: World, engine: Engine) -> None:
    assert world.rebase("run", str(world.task)).returncode == 0
    narrow = world.rebase("retrieve", "fruit-or-tool", "--top-n", "30", "--exclude-dataset", "no*")
    assert narrow.returncode == 0, narrow.stderr
    with engine.connect() as connection:
        live = connection.execute(
            text(
                "SELECT count(*), count(*) FILTER (WHERE name = 'notes') FROM retrieval_link"
                " JOIN dataset USING (dataset_id) WHERE displaced_by IS NULL"
            )
        ).one()
        assert tuple(live) == (30, 0)
        calls = connection.execute(text("SELECT count(*) FROM generation")).scalar_one()
    assert world.rebase("run", str(world.task)).returncode == 0
    with engine.connect() as connection:
        assert (
            connection.execute(text("SELECT count(*) FROM retrieval_link WHERE displaced_by IS NULL")).scalar_one()
            == 90
        )
        assert connection.execute(text("SELECT count(*) FROM generation")).scalar_one() == calls
