"""`rebase run` and `rebase demo`: a whole task, end to end, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rebase_db.task.file import TaskFile
    from workers.pipeline import Pipeline, Summary


SOURCES_SHOWN = 8
LABELS_SHOWN = 20  # a label set; more is free text


def run(path: Annotated[Path, typer.Argument(metavar="TASK.yaml", help="A task file.")]) -> None:
    """Take a task from its sources to an evaluated student; run it again to go on where it stopped."""
    from rebase_db.task.load import load_task

    _run(load_task(path))


def demo() -> None:
    """Run a small task on a corpus that comes with rebase-db, and follow one example back to its source row."""
    from cli.output import talk
    from rebase_db.demo import demo_folder
    from rebase_db.task.load import load_task

    talk.print("A small online shop wants its customer messages routed to the right team. There is no training data,")
    talk.print("but there are datasets near by. Let us see how far they take us.\n")
    example = _run(load_task(demo_folder() / "task.yaml"))
    talk.print("\n[bold]Where did the best ranked training example come from?[/]\n")
    from cli.lineage import why

    why(str(example))
    talk.print("\n[bold]What to try next[/]")
    for command, what in (
        (f"rebase why {example + 1}", "any other example's way back"),
        ("rebase status", "what is in the database and how far each task is"),
        ("rebase datasets", "the corpus"),
        (f"rebase run {demo_folder() / 'task.yaml'}", "the same again: nothing is left to do"),
    ):
        talk.print(f"  [cyan]{command}[/]  [dim]{what}[/]", soft_wrap=True)


def _run(file: TaskFile) -> int:
    """Run a task, print its summary, and return its best ranked example."""
    from cli.session import pipeline
    from rebase_db.lineage.why import first_example_of

    with pipeline(file) as steps:
        summary = steps.run()
        _print_summary(steps, summary)
        with steps.engine.connect() as connection:
            return first_example_of(connection, summary.training_set.training_set_id)


def _print_summary(steps: Pipeline, summary: Summary) -> None:
    from rich.table import Table

    from cli.output import data
    from rebase_db.analytics.overview import task_sources
    from rebase_db.distill.training_set import label_counts
    from rebase_db.transform.store import reject_reasons

    with steps.engine.connect() as connection:
        labels = label_counts(connection, summary.training_set.training_set_id)
        reasons = reject_reasons(connection, summary.task.task_version_id, summary.encoder_id)
        sources = task_sources(connection, summary.task.task_version_id, summary.encoder_id)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    added = sum(receipt.rows_added for receipt in summary.receipts)
    there = sum(receipt.rows_unchanged for receipt in summary.receipts)
    grid.add_row("task", f"{summary.task.name} version {summary.task.version}")
    grid.add_row("sources", f"{len(summary.receipts)} datasets: {added:,} rows added, {there:,} there already")
    found = summary.retrieval
    grid.add_row(
        "retrieved",
        f"{found['rows_linked']:,} of {found['rows_scored']:,} rows, {found['mirrors_left_out']:,} mirrors left out",
    )
    accepted = summary.links.get("transformed", 0) + summary.links.get("distilled", 0)
    why = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
    grid.add_row(
        "accepted",
        f"{accepted:,} examples, {summary.links.get('rejected', 0):,} rejected" + (f" ({why})" if why else ""),
    )
    if summary.links.get("failed"):
        grid.add_row("failed", f"[red]{summary.links['failed']:,} rows without an answer; see `rebase status`[/]")
    grid.add_row(
        "from",
        ", ".join(f"{name} {count:,}" for name, count in sources[:SOURCES_SHOWN])
        + (", …" if len(sources) > SOURCES_SHOWN else ""),
    )
    if len(labels) <= LABELS_SHOWN:
        grid.add_row("labels", ", ".join(f"{label} {count:,}" for label, count in labels))
    grid.add_row("training set", f"{summary.training_set.name}, {summary.training_set.size:,} examples")
    grid.add_row("student", f"run {summary.training_run_id}, {summary.artifact_path}")
    if summary.score is not None:
        score = summary.score
        grid.add_row(
            "score",
            f"[green]{score.metric} {score.value:.1%}[/] (95 % interval {score.low:.1%} to {score.high:.1%}; "
            f"majority class {score.majority:.1%}; {score.items:,} items)",
        )
    data.print()
    data.print(grid)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (run, demo):
        app.command(rich_help_panel="Start here")(command)
