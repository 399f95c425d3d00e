"""`rebase encoders`: which there are, and what a task's hit list would be under another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import JsonOption
from cli.stages import TaskName

if TYPE_CHECKING:
    from rebase_db.retrieve.compare import Comparison, Move

encoders = typer.Typer(
    help="List the encoders, and compare two of them for a task.", invoke_without_command=True, no_args_is_help=False
)

EncoderName = Annotated[str, typer.Argument(help="An encoder's number, or its name (then the newest of that name).")]


@encoders.callback()
def listed(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the encoders: how many vectors there are of each, and of how many of the corpus's texts."""
    if context.invoked_subcommand is not None:
        return
    from cli.output import emit, talk
    from cli.session import open_database
    from rebase_db.analytics import overview

    with open_database().connect() as connection:
        found = overview.encoders(connection)
    if not found and not as_json:
        talk.print("No encoder is known yet; `rebase embed` adds one.", style="dim")
    if not as_json:
        # What a terminal has room for; revision, precision and vectors are in the JSON.
        found = [
            {
                "encoder": one["encoder_id"],
                "name": one["name"],
                "width": one["width"],
                "texts": f"{one['texts']:,} of {one['texts_of_corpus']:,}",
                "tasks": one["task_versions"],
            }
            for one in found
        ]
    emit(found, as_json=as_json, numbers=["encoder", "width", "texts", "tasks"])


@encoders.command("compare")
def compare(
    task: TaskName,
    first: EncoderName,
    second: EncoderName,
    top: Annotated[int | None, typer.Option(min=1, help="Rows of each list; the task's top_n unless given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Rank the corpus for a task under two encoders, and say where the lists differ. The task's links stay."""
    from cli.output import emit_json
    from cli.session import task_pipeline
    from rebase_db.retrieve.compare import compare_encoders, find_encoder
    from rebase_db.retrieve.options import datasets_named

    with task_pipeline(task) as steps:
        asked = steps.file.retrieve
        with steps.engine.connect() as connection:
            encoder_ids = find_encoder(connection, first), find_encoder(connection, second)
            excluded = datasets_named(connection, asked.exclude_datasets, asked.exclude_licences)
        comparison = compare_encoders(
            steps.engine,
            steps.models.encoder,
            steps.stored().task_version_id,
            encoder_ids,
            top_n=top or asked.top_n,
            scoring=asked.scoring,
            excluded=frozenset(excluded),
            drop_mirrors=asked.mirrors == "first",
            weights=asked.weights.as_tuple(),
            max_share=asked.max_share,
        )
    if as_json:
        emit_json(comparison.as_dict())
        return
    _print(comparison, first, second)


def _print(comparison: Comparison, first: str, second: str) -> None:
    from cli.output import table, talk

    table(
        ("top", "in both", "overlap"),
        [(one.depth, one.both, f"{one.share:.1%}") for one in comparison.overlaps],
        numbers=("top", "in both", "overlap"),
    )
    talk.print("")
    counts = ("first", "second", "both")
    rows = [(one.dataset, one.before, one.after, one.both) for one in comparison.datasets]
    table(("dataset", *counts), rows, numbers=counts)
    for title, moves in (
        (f"best of {second} that {first} has not", comparison.entered),
        (f"best of {first} that {second} has not", comparison.left),
        ("moved furthest", comparison.moved),
    ):
        if moves:
            talk.print(f"\n{title}", markup=False)
            table(("dataset", "row", *counts[:2]), [_row(move) for move in moves], numbers=("row", *counts[:2]))


def _row(move: Move) -> tuple[object, ...]:
    return move.dataset, str(move.row_id), move.before, move.after


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(encoders, name="encoders", rich_help_panel="Corpus")
