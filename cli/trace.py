"""`rebase trace`: what a record came from and what it led to, as a tree or a graph."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import JsonOption

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from rebase_db.lineage.trace import Record, Step, Trace

_WORDS = 100
"""Characters of a record's description in a tree."""


class Format(StrEnum):
    """How a trace is printed."""

    TREE = "tree"
    JSON = "json"
    MERMAID = "mermaid"
    DOT = "dot"


def trace(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="KIND:KEY",
            help="example:17, row:DATASET:CONFIG/SPLIT:INDEX, run:3, set:NAME, dataset:NAME, teacher:2, …",
        ),
    ],
    up: Annotated[bool, typer.Option("--up", help="Only what it came from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what it led to.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Follow at most so many of a kind at each record.")] = 10,
    format_: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TREE,
    as_json: JsonOption = False,
) -> None:
    """Show what a record came from and what it led to: datasets, rows, links, calls, examples, sets, runs, scores."""
    if as_json and format_ not in {Format.TREE, Format.JSON}:
        raise typer.BadParameter(f"--json and --format {format_} exclude each other")
    from cli.output import data, emit_json, talk
    from cli.session import open_database
    from rebase_db.lineage import graph
    from rebase_db.lineage.trace import trace as follow
    from rebase_db.reference import find

    directions = [name for name, asked in (("up", up), ("down", down)) if asked] or ["up", "down"]
    with open_database().connect() as connection:
        found = follow(connection, find(connection, reference), directions, most=limit)
    if as_json or format_ is Format.JSON:
        emit_json(graph.as_json(found))
    elif format_ is Format.TREE:
        for direction in directions:
            data.print(_tree(found, direction))
    else:
        drawn = graph.as_mermaid(found) if format_ is Format.MERMAID else graph.as_dot(found)
        data.print(drawn, markup=False, soft_wrap=True)
    for direction, count in found.unfollowed.items():
        talk.print(
            f"{direction}: too many records; {count:,} of them were not followed further. A lower --limit goes deeper."
        )


def _tree(found: Trace, direction: str) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    steps: dict[Record, list[Step]] = {}
    for step in found.up if direction == "up" else found.down:
        steps.setdefault(step.record, []).append(step)
    shown = {found.start}
    title = Text(f"{found.start.reference}", style="bold").append(
        " came from" if direction == "up" else " led to", style="not bold"
    )
    if not steps:
        title.append(" nothing else" if direction == "up" else " nothing", style="not bold")
    root = Tree(title, guide_style="dim")

    # Not by recursion: a chain of examples may be longer than Python's stack.
    waiting = [(root, found.start)]
    while waiting:
        branch, record = waiting.pop()
        below = []
        for step in steps.get(record, ()):
            if step.to is None:
                branch.add(Text(f"… and {step.others:,} more: {step.kind}", style="dim"))
                continue
            again = step.to in shown and step.to in steps
            leaf = branch.add(_line(step.to, step.role, again=again))
            if step.to not in shown:
                shown.add(step.to)
                below.append((leaf, step.to))
        waiting += reversed(below)
    return root


def _line(record: Record, role: str | None, *, again: bool) -> Text:
    from rich.text import Text

    line = Text(record.reference)
    if role:
        line.append(f" ({role})", style="italic")
    if again:
        return line.append("  shown elsewhere", style="dim")
    words = " ".join(record.description.split())
    if words:
        line.append(f"  {words if len(words) <= _WORDS else words[: _WORDS - 1] + '…'}", style="dim")
    return line


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Lineage")(trace)
