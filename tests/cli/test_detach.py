"""A whole task by asking only: workers do the work, and nobody works for a paused task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db.database.engine import engine_for

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.pipeline.conftest import World

TASK = "fruit-or-tool"


def states(world: World, table: str) -> list[tuple[str, int]]:
    engine = engine_for(world.database_url)
    with engine.connect() as connection:
        query = f"SELECT state, count(*) AS rows FROM {table} GROUP BY state ORDER BY state"  # noqa: S608 - our own names
        found = [(row.state, row.rows) for row in connection.execute(text(query))]
    engine.dispose()
    return found


def say(world: World, *command: str) -> str:
    """What a command that must succeed says on stdout."""
    done = world.rebase(*command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_what_was_only_asked_for_is_done_by_workers_as_by_a_run(world: World) -> None:
    say(world, "ingest", str(world.folder / "corpus"))
    say(world, "task", "add", str(world.task))
    retrieval = say(world, "retrieve", TASK, "--detach")
    assert say(world, "retrieve", TASK, "--detach") == retrieval, "asked twice is asked once"
    assert states(world, "retrieval") == [("waiting", 1)]
    assert {state for state, _ in states(world, "embed_chunk")} == {"waiting"}
    say(world, "work", "--drain")
    assert states(world, "retrieval") == [("done", 1)]
    assert {state for state, _ in states(world, "retrieval_link")} <= {"transformed", "rejected"}
    run = say(world, "distill", TASK, "--detach")
    assert states(world, "training_run") == [("waiting", 1)]
    say(world, "work", "--drain", "--stage", "distill")
    assert states(world, "training_run") == [("done", 1)]
    assert say(world, "distill", TASK) == run, "it is the run that a command would have done itself"
    assert "accuracy" in say(world, "evaluate", TASK, "--run", run)


def test_nothing_is_done_for_a_paused_task(
    world: World, within: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for command in (["ingest", str(world.folder / "corpus")], ["task", "add", str(world.task)], ["pause", TASK]):
        assert within(*command).returncode == 0
    commands = [["retrieve", TASK], ["retrieve", TASK, "--detach"], ["transform", TASK], ["distill", TASK]]
    for command in [*commands, ["run", str(world.task)]]:
        refused = within(*command)
        assert (refused.returncode, refused.stdout) == (1, ""), command
        assert refused.stderr == f"error: Task '{TASK}' is paused.\n  `rebase resume {TASK}` goes on.\n", command
    assert [states(world, table) for table in ("retrieval", "embed_chunk", "training_run")] == [[], [], []]
    found = json.loads(within("status", "--json").stdout)
    assert found["paused"] == [TASK]
