"""`rebase grow`: a whole round for a task, and its receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import JsonOption
from cli.stages import TaskName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rebase_db.analytics.round import Measured, Round

DATASETS_SHOWN = 8


def grow(
    task: TaskName,
    source: Annotated[
        list[str] | None,
        typer.Option(help="A new source to load beside those of the task file; may be given again."),
    ] = None,
    from_parent: Annotated[
        bool,
        typer.Option(
            "--from-parent/--retrain",
            help="Start from the last student's weights, on what is new to it; or from the base model, on all.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a task through a round: load what its sources have now, and do only what that changes.

    Sources, vectors, ranking, transforming within the task's limits, checks, training set, student, score; one receipt
    at the end. Stopped or killed, run it again: it goes on where it was. If nothing has changed, nothing is done.
    """
    from rich.table import Table

    from cli.output import data, emit_json, talk
    from cli.session import task_pipeline
    from rebase_db.ingest.open import open_sources
    from workers.grow import grow as grow_task

    with task_pipeline(task) as steps:
        opened = open_sources(source, max_rows=steps.file.max_rows) if source else ()
        grown = grow_task(steps, opened, from_parent=from_parent)
    receipt = grown.receipt
    if as_json:
        emit_json({"changed": grown.changed, **receipt.as_dict()})
        return
    if not grown.changed:
        talk.print(f"Nothing has changed since run {receipt.run}. The round that it ended:")
    elif not receipt.trained:
        talk.print(f"Nothing new to learn: run {receipt.run} stays the student.")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _lines(receipt):
        grid.add_row(name, value)
    data.print(grid)


def _lines(receipt: Round) -> Iterator[tuple[str, str]]:
    from rich.markup import escape

    since = "the beginning" if receipt.since is None else f"run {receipt.since_run} of {receipt.since:%Y-%m-%d %H:%M}"
    yield "since", since
    loaded = receipt.loaded
    totals = (sum(getattr(one, name) for one in loaded) for name in ("added", "changed", "removed"))
    added, changed, removed = totals
    of = ", ".join(escape(one.dataset) for one in loaded[:DATASETS_SHOWN])
    more = ", …" if len(loaded) > DATASETS_SHOWN else ""
    names = f" ({of}{more})" if loaded else ""
    yield "rows", f"{added:,} added, {changed:,} changed, {removed:,} removed{names}"
    ranking = receipt.ranking
    cutoff = "none" if ranking.cutoff is None else f"{ranking.cutoff:.4f}"
    was = "" if ranking.cutoff_before is None else f", was {ranking.cutoff_before:.4f}"
    yield (
        "ranking",
        f"{ranking.entered:,} entered, {ranking.displaced:,} displaced, {ranking.kept:,} kept; cut-off {cutoff}{was}",
    )
    calls = receipt.calls
    cost = "" if calls.cost is None else f", cost {calls.cost.normalize():f}"
    judged = f", {calls.judgements:,} of them of judges" if calls.judgements else ""
    yield "calls", f"{calls.sent:,} sent{judged}, {calls.reused:,} used again, {calls.tokens:,} tokens{cost}"
    why = ", ".join(f"{count:,} {escape(reason)}" for reason, count in receipt.rejected.items())
    rejected = sum(receipt.rejected.values())
    waiting = f", {receipt.rows['waiting']:,} wait" if receipt.rows.get("waiting") else ""
    failed = f", {receipt.rows['failed']:,} failed" if receipt.rows.get("failed") else ""
    yield (
        "examples",
        f"{receipt.accepted:,} accepted, {rejected:,} rejected{f' ({why})' if why else ''}{waiting}{failed}",
    )
    members = receipt.training_set
    moved = f"{members.joined:,} joined, {members.gone:,} gone"
    yield "training set", f"{escape(members.name)}, {members.size:,} examples, was {members.size_before:,}: {moved}"
    yield "student", f"run {receipt.run}" + ("" if receipt.trained else ", as before")
    if receipt.score is not None:
        yield "score", _score(receipt.score)


def _score(score: Measured) -> str:
    from rich.markup import escape

    now = f"{score.metric} {score.value:.1%} ({score.low:.1%} to {score.high:.1%})"
    if score.before is None:
        before = ""
    else:
        value, low, high = score.before
        before = f", before {value:.1%} ({low:.1%} to {high:.1%})"
    return f"{now}{before}, 95 % intervals, {score.items:,} items of {escape(score.benchmark)}"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Start here")(grow)
