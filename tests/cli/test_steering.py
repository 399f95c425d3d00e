"""Steering from the command line: each command does it, says so in one line, and refuses what makes no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db import queue
from rebase_db.errors import UnknownNameError
from tests.cli.conftest import TASK
from tests.queue import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from tests.cli.conftest import Queued


def put(queued: Queued, links: list[int], state: str) -> None:
    with queued.engine.begin() as connection:
        worker = rows.add_worker(connection)
        for link in links:
            rows.put_in_state(connection, queue.TRANSFORM, link, state, worker)


def steering(queued: Queued) -> tuple[int, bool]:
    with queued.engine.connect() as connection:
        query = text("SELECT priority, paused_at IS NOT NULL FROM task WHERE name = :task")
        priority, paused = connection.execute(query, {"task": TASK}).one()
        return priority, paused


def said(result: Result) -> str:
    """The one line a command said."""
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def test_retry_puts_back_what_failed_or_was_cancelled(queued: Queued, invoke: Callable[..., Result]) -> None:
    put(queued, queued.links[:3], "failed")
    put(queued, queued.links[3:5], "cancelled")
    assert said(invoke("retry", TASK)) == f"5 rows (5 of transform) put back of task {TASK}."
    assert queued.count("retrieved") == 20
    assert said(invoke("retry", TASK)) == f"Nothing of task {TASK} failed or was cancelled."


def test_retry_of_all_tasks_and_of_one_stage(queued: Queued, invoke: Callable[..., Result]) -> None:
    put(queued, queued.links[:1], "failed")
    assert said(invoke("retry", "--stage", "distill", "--stage", "embed")) == "Nothing failed or was cancelled."
    assert queued.count("failed") == 1
    assert said(invoke("retry")) == "1 row (1 of transform) put back."
    assert queued.count("failed") == 0


def test_cancel_asks_and_says_how_many(queued: Queued, invoke: Callable[..., Result]) -> None:
    put(queued, queued.links[:2], "transforming")
    put(queued, queued.links[2:3], "failed")
    no = invoke("cancel", TASK, input="n\n")
    assert no.exit_code != 0
    assert f"Cancel 19 rows (19 of transform) of task {TASK}? [y/N]" in no.stderr
    assert queued.count("cancelled") == 0
    yes = invoke("cancel", TASK, input="y\n")
    assert f"19 rows (19 of transform) of task {TASK} cancelled." in yes.stderr
    assert (queued.count("cancelled"), queued.count("failed")) == (19, 1)
    assert said(invoke("cancel", TASK)) == f"Nothing of task {TASK} waits or is being worked on."


def test_cancel_does_not_ask_when_told_so_and_keeps_to_its_stages(
    queued: Queued, invoke: Callable[..., Result]
) -> None:
    nothing = f"Nothing of task {TASK} waits or is being worked on."
    assert said(invoke("cancel", TASK, "--yes", "--stage", "retrieve")) == nothing
    assert queued.count("retrieved") == 20
    cancelled = f"20 rows (20 of transform) of task {TASK} cancelled."
    assert said(invoke("cancel", TASK, "--yes", "--stage", "transform")) == cancelled
    assert queued.count("cancelled") == 20


def test_pause_and_resume(queued: Queued, invoke: Callable[..., Result]) -> None:
    assert said(invoke("pause", TASK)) == f"Task {TASK} is paused; `rebase resume {TASK}` goes on."
    assert steering(queued) == (0, True)
    assert said(invoke("resume", TASK)) == f"Task {TASK} goes on."
    assert steering(queued) == (0, False)


@pytest.mark.parametrize("priority", [10, -5, 0])
def test_prioritize(queued: Queued, invoke: Callable[..., Result], priority: int) -> None:
    assert said(invoke("prioritize", TASK, str(priority))) == f"Task {TASK} has priority {priority}."
    assert steering(queued) == (priority, False)


@pytest.mark.parametrize(
    "command", [["retry"], ["cancel", "-y"], ["cancel"], ["pause"], ["resume"], ["prioritize", "1"]]
)
def test_a_task_that_is_not_there(queued: Queued, invoke: Callable[..., Result], command: list[str]) -> None:
    refused = invoke(command[0], "spell-in", *command[1:])
    assert isinstance(refused.exception, UnknownNameError)
    assert TASK in refused.exception.hint
    assert queued.count("retrieved") == 20


@pytest.mark.parametrize(
    "arguments",
    [
        ["prioritize", TASK, "high"],
        ["prioritize", TASK, "40000"],
        ["prioritize", TASK, "--much"],
        ["prioritize", TASK],
        ["pause"],
        ["cancel"],
        ["cancel", TASK, "-y", "--stage", "embed"],
        ["retry", TASK, "--stage", "embed"],
        ["retry", "--stage", "cook"],
    ],
    ids=" ".join,
)
def test_bad_input_is_refused(invoke: Callable[..., Result], arguments: list[str]) -> None:
    refused = invoke(*arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
