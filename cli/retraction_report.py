"""The report on a retraction, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from cli.output import confidence, data, talk
from rebase_db.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rebase_db.retract.report import AffectedRun, Report

Section = tuple[str, Sequence[tuple[str, ...]], tuple[str, ...]]
"""A title, rows of cells, and the names of the columns."""


def show_report(report: Report, *, erasure: str | None = None, on_stderr: bool = False) -> None:
    """Print a report: what is withdrawn, what it reached, and what to do about that.

    Under the title `erasure`, if given, what there is to erase.
    """
    console = talk if on_stderr else data
    for line in _head(report):
        console.print(Text(line), soft_wrap=True)
    for title, rows, columns in _sections(report, stands=report.record.undone_at is None):
        console.print()
        console.print(Text(title, style="bold"), soft_wrap=True)
        for line in _aligned(columns, rows):
            console.print(Text(line), soft_wrap=True)
    if erasure is not None:
        console.print()
        console.print(Text(erasure, style="bold"))
        for line in _erased(report):
            console.print(Text(f"  {line}"), soft_wrap=True)
    commands = list(dict.fromkeys(each.command for each in report.sets if each.command is not None))
    if commands:
        console.print()
        console.print(Text("Sets without what is retracted are made by", style="bold"))
        for command in commands:
            console.print(Text(f"  {command}"), soft_wrap=True)


def _head(report: Report) -> Iterator[str]:
    record = report.record
    what = f"the text with SHA-256 {record.target}" if record.kind == "text" else f"{record.kind} {record.target}"
    number = "A retraction" if record.retraction is None else f"Retraction {record.retraction}"
    yield f"{number} of {what}{', with mirrors' if record.mirrors else ''}"
    yield f"  reason  {record.reason}"
    made = f", {record.created_at:%Y-%m-%d %H:%M}" if record.created_at is not None else ""
    yield f"  by      {record.asked_by}{made}"
    if record.undone_at is not None:
        yield f"  undone  {record.undone_at:%Y-%m-%d %H:%M}: {record.undo_reason}"
    if record.erased_at is not None:
        yield f"  erased  {record.erased_at:%Y-%m-%d %H:%M}"
    spent = report.spent
    cost = f", cost {spent.cost:f}" if spent.cost else ""
    yield (
        f"  covers  {counted(report.rows, 'row')}, {counted(spent.examples, 'example')} made of them by "
        f"{counted(spent.calls, 'call')}{_judged(spent.judgements)} ({spent.tokens:,} tokens{cost})"
    )
    if not report.runs and not report.sets:
        yield "  No frozen set and no training run has anything of it."


def _judged(judgements: int) -> str:
    return f" and judged by {judgements:,}" if judgements else ""


def _sections(report: Report, *, stands: bool) -> Iterator[Section]:
    """What there is to say; of a retraction that was taken back only what is covered, not what follows from that."""
    if report.datasets:
        rows = [
            (
                each.dataset,
                each.licence,
                f"{each.rows:,} of {each.rows_there:,}{', and all that might come' if each.whole and stands else ''}",
                f"{each.rows_retracted_otherwise:,}" if each.rows_retracted_otherwise else "",
            )
            for each in report.datasets
        ]
        yield "Datasets", rows, ("dataset", "licence", "rows", "also retracted otherwise")
    if report.tasks:
        yield (
            "Rankings that lose rows" if stands else "Rankings with such rows",
            [
                (each.task, f"{each.links:,}", f"{each.accepted:,}", f"{each.waiting:,}", f"{each.in_hand:,}")
                for each in report.tasks
            ],
            ("task", "rows", "accepted", "waiting", "in hand"),
        )
    trained = [each for each in report.runs if each.artifact_path is not None]
    others = [each for each in report.runs if each.artifact_path is None]
    if trained:
        yield (
            "Trained models that contain them",
            [(*_run(each), _scores(each), each.artifact_path or "") for each in trained],
            ("run", "set", "examples", "share", "scores", "artifact"),
        )
    if others:
        yield (
            "Training runs without a model"
            + (" (refused when they are begun, unless they run already)" if stands else ""),
            [(*_run(each), each.state) for each in others],
            ("run", "set", "examples", "share", "state"),
        )
    if report.sets:
        yield (
            "Frozen sets that contain them" + ("; they stay, and are not trained on again" if stands else ""),
            [
                (
                    each.name,
                    each.task,
                    f"{each.examples:,} of {each.size:,}",
                    f"{each.share:.1%}",
                    each.successor or ("nothing is left of it" if each.left == 0 else ""),
                )
                for each in report.sets
            ],
            ("set", "task", "examples", "share", "clean successor"),
        )
    if report.mirrors_that_stay:
        yield (
            "Rows elsewhere with the same content, which stay (--mirrors withdraws them too)",
            [(each.dataset, each.licence, f"{each.rows:,}") for each in report.mirrors_that_stay],
            ("dataset", "licence", "rows"),
        )
    if report.published:
        yield (
            "Published data that may stem from them, by its publisher's word or by our guess",
            [
                (
                    each.publication,
                    each.task,
                    f"{each.stated:,}",
                    f"{each.guessed:,}",
                    "" if each.surest_guess is None else confidence(each.surest_guess),
                    f"{each.ranks:,}",
                )
                for each in report.published
            ],
            ("publication", "task", "stated", "guessed", "surest guess", "ranks"),
        )


def _run(run: AffectedRun) -> tuple[str, str, str, str]:
    return str(run.run), run.training_set, f"{run.examples:,} of {run.size:,}", f"{run.share:.1%}"


def _scores(run: AffectedRun) -> str:
    return ", ".join(f"{each['metric']} {each['value']:.3f} on {each['benchmark']}" for each in run.scores)


def _erased(report: Report) -> Iterator[str]:
    erasure = report.to_erase
    again = erasure.rows == erasure.texts == erasure.examples == erasure.calls == 0
    if again:
        yield "nothing that was not erased before"
    else:
        counts = ((erasure.rows, "row"), (erasure.texts, "text"), (erasure.vectors, "vector"))
        yield ", ".join(counted(number, what) for number, what in counts)
    if erasure.texts_kept:
        yield (
            f"but not {counted(erasure.texts_kept, 'text')} of theirs: other rows of the dataset have the same, or"
            " it is the dataset's description"
        )
    if again:
        return
    yield (
        f"the words of {counted(erasure.calls, 'answer')}, {counted(erasure.examples, 'example')} and "
        f"{counted(erasure.judgements, 'judgement')}, and what checks and events quote of them"
    )
    models = [each.artifact_path for each in report.runs if each.artifact_path is not None]
    yield (
        "Out of reach are the same words where others have them (rows of other datasets, benchmarks, published data),"
        " backups, logs, what was exported" + (", and these models:" if models else "")
    )
    yield from (f"  {each}" for each in models)


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table, as wide as its cells: a path that is folded is no path."""
    widths = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    for row in (columns, *rows):
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
