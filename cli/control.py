"""`rebase retry`, `cancel`, `pause`, `resume`, `prioritize`: steering what workers do."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.stages import TaskName
from cli.work import StageName, StageOption, chosen_stages

PRIORITIES = (-1000, 1000)  # the column holds more, but nobody needs more


def retry(
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="A task; by default all of them.")] = None,
    stage: StageOption = None,
) -> None:
    """Put back what failed for good or was cancelled, with a fresh set of attempts."""
    from cli.output import talk
    from cli.session import open_database
    from rebase_db import control

    if task is not None:
        _refuse_embed(stage)
    with open_database().begin() as connection:
        rows = control.retry(connection, task, chosen_stages(stage))
    of = "" if task is None else f" of task {task}"
    talk.print(_said(rows, f"put back{of}", f"Nothing{of} failed or was cancelled."), markup=False, soft_wrap=True)


def cancel(
    task: TaskName,
    stage: StageOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Cancel what waits or is being worked on; `rebase retry` brings it back."""
    from cli.output import talk
    from cli.session import open_database
    from rebase_db import control

    _refuse_embed(stage)
    engine, stages = open_database(), chosen_stages(stage)
    if not yes:
        # Counted by doing it and taking it back would hold locks while somebody thinks.
        with engine.connect() as connection:
            waiting = control.cancellable(connection, task, stages)
        if not any(waiting.values()):
            talk.print(f"Nothing of task {task} waits or is being worked on.", markup=False, soft_wrap=True)
            return
        typer.confirm(f"Cancel {_counted(waiting)} of task {task}?", abort=True, err=True)
    with engine.begin() as connection:
        rows = control.cancel(connection, task, stages)
    nothing = f"Nothing of task {task} waits or is being worked on."
    talk.print(_said(rows, f"of task {task} cancelled", nothing), markup=False, soft_wrap=True)


def pause(task: TaskName) -> None:
    """Have workers take no more of a task's rows; what is in hand is finished."""
    from cli.output import talk
    from cli.session import open_database
    from rebase_db import control

    with open_database().begin() as connection:
        control.pause(connection, task)
    talk.print(f"Task {task} is paused; `rebase resume {task}` goes on.", markup=False, soft_wrap=True)


def resume(task: TaskName) -> None:
    """Have workers take a paused task's rows again."""
    from cli.output import talk
    from cli.session import open_database
    from rebase_db import control

    with open_database().begin() as connection:
        control.resume(connection, task)
    talk.print(f"Task {task} goes on.", markup=False, soft_wrap=True)


def prioritize(
    task: TaskName,
    priority: Annotated[
        int,
        typer.Argument(
            metavar="N", min=PRIORITIES[0], max=PRIORITIES[1], help="Higher goes first; tasks begin with 0."
        ),
    ],
) -> None:
    """Have workers take a task's rows before those of tasks with a lower priority."""
    from cli.output import talk
    from cli.session import open_database
    from rebase_db import control

    with open_database().begin() as connection:
        control.prioritize(connection, task, priority)
    talk.print(f"Task {task} has priority {priority}.", markup=False, soft_wrap=True)


def _refuse_embed(stages: list[StageName] | None) -> None:
    if stages == [StageName.EMBED]:
        raise typer.BadParameter("Texts are embedded for all tasks together, so no task has rows of this stage.")


def _said(rows: dict[str, int], what: str, nothing: str) -> str:
    return f"{_counted(rows)} {what}." if any(rows.values()) else nothing


def _counted(rows: dict[str, int]) -> str:
    parts = [f"{count:,} of {stage}" for stage, count in rows.items() if count]
    total = sum(rows.values())
    return f"{total:,} row{'s' * (total != 1)} ({', '.join(parts)})"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (retry, cancel, pause, resume):
        app.command(rich_help_panel="Workers")(command)
    # So that -5 is a number and not an option nobody knows.
    app.command(rich_help_panel="Workers", context_settings={"ignore_unknown_options": True})(prioritize)
