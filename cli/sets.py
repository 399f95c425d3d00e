"""`rebase sets`: frozen training sets, and how two of them differ."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.database import JsonOption

LABELS_SHOWN = 20  # a label set; more is free text

commands = typer.Typer(help="Frozen training sets, and how two of them differ.", no_args_is_help=True)


@commands.command("list")
def list_(
    task: Annotated[str | None, typer.Option(help="Only those of this task.")] = None, as_json: JsonOption = False
) -> None:
    """List the training sets, newest first, with the runs on each."""
    from cli.output import emit
    from cli.session import open_database
    from rebase_db.distill.compare import list_sets
    from rebase_db.task.store import find_task

    with open_database().connect() as connection:
        if task is not None:
            find_task(connection, task)
        found = list_sets(connection, task)
    if not as_json:
        found = [
            each
            | {
                "frozen_at": f"{each['frozen_at']:%Y-%m-%d %H:%M}",
                "runs": ", ".join(map(str, each["runs"])),
                "successor_of": each["successor_of"] or "",
            }
            for each in found
        ]
    emit(found, as_json=as_json, numbers=["version", "size"])


@commands.command("diff")
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A training set.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: JsonOption = False,
) -> None:
    """Say what both sets have, what only one has, and why the other has it not, as things stand now."""
    from cli.output import emit_json, table, talk
    from cli.session import open_database
    from rebase_db.distill.compare import compare_sets

    with open_database().connect() as connection:
        found = compare_sets(connection, a, b)
    said = found.as_dict()
    if as_json:
        emit_json(said)
        return
    sides = ("both", f"only {found.a}", f"only {found.b}")
    for what in ("dataset", "label"):
        counts = found.counts(what)
        if what == "label" and len(counts) > LABELS_SHOWN:
            continue
        table([what, *sides], [(name, *each.values()) for name, each in counts.items()], numbers=sides)
    total = ("examples", said["both"], said["only_a"], said["only_b"])
    table(["", *sides], [total], numbers=sides)
    for one, other, side in ((found.a, found.b, "a"), (found.b, found.a, "b")):
        reasons = found.reasons(side)
        if reasons:
            table([f"of {one}, not in {other}", "examples"], list(reasons.items()), numbers=["examples"])
    same = said["same_content_other_example"]
    if same:
        talk.print(
            f"Of those that only {found.a} has, {same:,} stand in {found.b} as other examples of the same words."
        )


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(commands, name="sets", rich_help_panel="Steps of a task")
