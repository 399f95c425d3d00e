"""`rebase task`: tasks by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.database import JsonOption

commands = typer.Typer(help="Tasks: what students are to learn.", no_args_is_help=True)


@commands.command("add")
def add(path: Annotated[Path, typer.Argument(help="A task file.")]) -> None:
    """Add a task, or a new version of it if what it asks for has changed."""
    from cli.output import talk
    from cli.session import open_database
    from rebase_db.task.load import load_task
    from rebase_db.task.store import add_task

    with open_database().begin() as connection:
        stored = add_task(connection, load_task(path))
    talk.print(f"Task {stored.name} is at version {stored.version}.", markup=False)


@commands.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the tasks."""
    from cli.output import emit
    from cli.session import open_database
    from rebase_db.task.store import list_tasks

    with open_database().connect() as connection:
        tasks = list_tasks(connection)
    emit(
        [
            {"task": task.name, "version": task.version, "instruction": " ".join(task.instruction.split())}
            for task in tasks
        ],
        as_json=as_json,
        numbers=["version"],
    )


@commands.command("show")
def show(
    name: Annotated[str, typer.Argument(help="The task's name.")],
    version: Annotated[int | None, typer.Option(help="An older version.")] = None,
) -> None:
    """Show what a task asks for, as JSON."""
    from dataclasses import asdict

    from cli.output import emit_json
    from cli.session import open_database
    from rebase_db.task.store import find_task

    with open_database().connect() as connection:
        emit_json(asdict(find_task(connection, name, version)))


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(commands, name="task", rich_help_panel="Tasks")
