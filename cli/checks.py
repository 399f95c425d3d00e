"""`rebase check` and `rebase benchmark`: what examples are checked for, and the benchmarks they are held against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.database import JsonOption
from cli.stages import TaskName
from rebase_db.words import counted

benchmarks = typer.Typer(
    help="Benchmarks: what students are measured on, and must not be trained on.", no_args_is_help=True
)


def check(task: TaskName, as_json: JsonOption = False) -> None:
    """Check a task's examples as its task file says now, and decide anew which are accepted.

    Only what was not checked that way before is looked at. No teacher is asked; a judge, where the task has one, only
    about examples it has not judged.
    """
    from cli.output import emit_json, table, talk
    from cli.session import task_pipeline

    with task_pipeline(task) as steps:
        checked = steps.check(steps.stored())
    if as_json:
        emit_json(
            {
                "examples": checked.examples,
                "kept_out": checked.decided.kept_out,
                "let_in": checked.decided.let_in,
                "checks": {name: dict(found) for name, found in checked.verdicts.items()},
            }
        )
        return
    verdicts = ("pass", "warn", "fail")
    table(
        ["check", *verdicts],
        [(name, *(found.get(verdict, 0) for verdict in verdicts)) for name, found in checked.verdicts.items()],
        numbers=verdicts,
    )
    talk.print(
        f"{counted(checked.examples, 'example')}: {checked.decided.kept_out:,} kept out that were accepted before,"
        f" {checked.decided.let_in:,} let in that were kept out.",
        soft_wrap=True,
    )


@benchmarks.command("add")
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSON lines with `input`, `output` and `id`.")],
) -> None:
    """Register benchmarks: examples and source rows that hold parts of them are found when they are checked next."""
    from cli.output import talk
    from cli.session import open_database
    from rebase_db.evaluate.benchmark_file import read_benchmark
    from rebase_db.evaluate.store import list_benchmarks, register_benchmark

    read = [(path, read_benchmark(path)) for path in files]
    with open_database().begin() as connection:
        known = {each["benchmark"]: each["name"] for each in list_benchmarks(connection)}
        for path, file in read:
            number = register_benchmark(connection, file, str(path.resolve()))
            items = counted(len(file.items), "item")
            said = f"{file.name}, {items}." if number not in known else f"{path.name} is registered as {known[number]}."
            talk.print(f"Benchmark {number}: {said}", markup=False, soft_wrap=True)
            known.setdefault(number, file.name)


@benchmarks.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the registered benchmarks."""
    from cli.output import emit
    from cli.session import open_database
    from rebase_db.evaluate.store import list_benchmarks

    with open_database().connect() as connection:
        found = list_benchmarks(connection)
    if not as_json:
        found = [each | {"hash": each["hash"][:12]} for each in found]
    emit(found, as_json=as_json, numbers=["benchmark", "items"])


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(rich_help_panel="Steps of a task")(check)
    app.add_typer(benchmarks, name="benchmark", rich_help_panel="Tasks")
