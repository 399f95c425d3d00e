"""`rebase import-rebase`, `import-examples` and `audit`: data that others published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.database import JsonOption
from cli.stages import TaskName
from rebase_db.words import counted

if TYPE_CHECKING:
    from rebase_db.audit.directory import Directory
    from rebase_db.audit.receipt import ImportReceipt

SHOWN = 8
SAMPLES = 2

TaskOption = Annotated[
    str, typer.Option(help="The task the data was made for; its worked examples and labels are needed.")
]
NameOption = Annotated[str | None, typer.Option(help="A name for the publication.")]
OnErrorOption = Annotated[
    Literal["fail", "skip"], typer.Option(help="A faulty row refuses the import, or is left out and listed.")
]


def import_rebase(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with a ranking, rows, outputs.")],
    task: TaskOption,
    name: NameOption = None,
    ranking: Annotated[Path | None, typer.Option(help="The ranking, where its name does not say so.")] = None,
    outputs: Annotated[Path | None, typer.Option(help="The outputs, where their name does not say so.")] = None,
    rows: Annotated[Path | None, typer.Option(help="A folder with the rows, as `rebase ingest` reads it.")] = None,
    on_error: OnErrorOption = "fail",
    as_json: JsonOption = False,
) -> None:
    """Load data published in the form of the authors of ReBase, and find the likely source of each output.

    Taken from DIR are `retrieved/TASK.*` or `ranking.*`, `rebase_outputs/TASK.*` or `outputs.*`, and of the folder
    `corpus` or `rows` the datasets that the ranking names. The same files are not loaded twice.
    """
    from cli.session import open_database
    from rebase_db.audit.directory import recognise
    from rebase_db.audit.load import import_rebase as load
    from rebase_db.ingest.source import OnError

    found = recognise(directory, task, ranking=ranking, outputs=outputs, rows=rows)
    _say_what_is_what(found)
    uri = directory.resolve().as_uri()
    engine = open_database()
    with _progress() as say:
        receipt = load(engine, found, task=task, uri=uri, name=name, on_error=OnError(on_error), say=say)
    _show(receipt, as_json=as_json)


def import_examples(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet, JSONL, CSV or TSV, also .gz.")],
    task: TaskOption,
    name: NameOption = None,
    input_column: Annotated[str, typer.Option("--input", help="The column with the inputs.")] = "input",
    output_column: Annotated[str, typer.Option("--output", help="The column with the outputs.")] = "output",
    source_column: Annotated[
        str | None, typer.Option("--source", help="The column that names source rows, as row:NAME:CONFIG/SPLIT:INDEX.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Look for likely sources in this dataset; may be given again.")
    ] = None,
    on_error: OnErrorOption = "fail",
    as_json: JsonOption = False,
) -> None:
    """Load examples that others made, with or without references to the rows they come from.

    A file with the columns dataset_id, config_id and row_id names its rows by these.
    """
    from cli.session import open_database
    from rebase_db.audit.load import import_examples as load
    from rebase_db.audit.published import ExampleColumns
    from rebase_db.ingest.source import OnError

    columns = ExampleColumns(input_column, output_column, source_column)
    engine = open_database()
    with _progress() as say:
        receipt = load(
            engine,
            file,
            task=task,
            columns=columns,
            datasets=dataset or [],
            name=name,
            on_error=OnError(on_error),
            say=say,
        )
    _show(receipt, as_json=as_json)


def audit(
    task: TaskName,
    publication: Annotated[str | None, typer.Option(help="A publication of the task; by default the newest.")] = None,
    own: Annotated[bool, typer.Option("--own", help="The examples made here, not what was published.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Report mirrors, drift, repeats, copies, labels, sources and contamination of what was published for a task.

    No model is asked. A task without publications is audited on its own examples.
    """
    from cli.output import data, emit_json, indented
    from cli.session import open_database
    from rebase_db.audit.report import audit as report

    if own and publication is not None:
        raise typer.BadParameter("--own and --publication exclude each other")
    with open_database().connect() as connection:
        found = report(connection, task, publication=publication, own=own)
    if as_json:
        emit_json(found.as_dict())
        return
    what = "its own examples" if found.publication is None else f"publication {found.publication}"
    heading = f"Audit of {found.task}, {what}: {found.examples:,} examples, {found.ranked:,} ranked rows"
    data.print(heading, style="bold", markup=False, soft_wrap=True)
    for one in found.findings:
        data.print()
        share = f"{one.count:,} of {one.of:,} ({one.count / one.of:.1%})" if one.of else "nothing to look at"
        data.print(f"{one.name}: {share}", style="bold", markup=False)
        indented(one.says, *one.lines)
        samples = [f"such as {'; '.join(one.samples[:SAMPLES])}"] if one.samples else []
        indented(*samples, f"how sure: {one.sure}", style="dim")


def _progress() -> Any:
    from contextlib import contextmanager

    from cli.output import TerminalReporter

    @contextmanager
    def reported() -> Any:
        with TerminalReporter().step("Import") as progress:
            yield progress.note

    return reported()


def _say_what_is_what(found: Directory) -> None:
    from cli.output import talk

    for what, path in (("ranking", found.ranking), ("rows", found.rows), ("outputs", found.outputs)):
        talk.print(f"{what}: {path or 'none found'}", markup=False, soft_wrap=True)


def _show(receipt: ImportReceipt, *, as_json: bool) -> None:
    from cli.output import data, emit_json, talk

    if as_json:
        emit_json(receipt.as_dict())
    else:
        for line in _lines(receipt):
            talk.print(line, markup=False, soft_wrap=True)
        data.print(receipt.publication, markup=False, soft_wrap=True)
    for row in receipt.rejected[:SHOWN]:
        where = "" if row.column is None else f", column {row.column!r}"
        place = f"line {row.line}" if row.line is not None else f"row {row.source_index}"
        talk.print(f"{row.uri}, {place}{where}: {row.reason}", style="yellow", markup=False, soft_wrap=True)
    if len(receipt.rejected) > SHOWN:
        talk.print(f"… and {len(receipt.rejected) - SHOWN:,} more rows left out; --json lists them.", style="yellow")


def _lines(receipt: ImportReceipt) -> list[str]:
    if receipt.known:
        since = f"{receipt.created_at:%Y-%m-%d %H:%M}"
        return [
            f"These files are publication {receipt.publication!r} since {since}: nothing is added.",
            "What was said of columns (--input, --output, --source), of --dataset or --ranking is as it was then.",
            "To import them anew, with other options or for rows that were not there, give another --name.",
        ]
    lines = []
    if receipt.datasets:
        rows = sum(each.rows_added for each in receipt.datasets)
        lines.append(
            f"{counted(len(receipt.datasets), 'dataset')} with {counted(rows, 'row')} loaded that were not there."
        )
    if receipt.ranked:
        lines.append(f"{counted(receipt.ranked, 'ranked row')}, {receipt.ranked_rows:,} of them in the database.")
    if receipt.other_cells:
        lines.append(
            f"{receipt.other_cells:,} of these do not hold the cells that the ranking states: another version?"
        )
    if receipt.unresolved:
        names = list(receipt.unresolved.items())
        shown = ", ".join(f"{name} ({count:,})" for name, count in names[:SHOWN])
        more = f" and {len(names) - SHOWN} more datasets" if len(names) > SHOWN else ""
        keys = counted(sum(receipt.unresolved.values()), "key")
        lines.append(f"No row in the database for {keys}, kept as stated: {shown}{more}.")
    if receipt.examples:
        parts = [f"{receipt.stated:,} with a stated row"] if receipt.stated else []
        parts += [f"{count:,} placed by {method}" for method, count in receipt.placed.items()]
        parts += [f"{receipt.unplaced:,} without a likely row"] if receipt.unplaced else []
        lines.append(f"{counted(receipt.examples, 'example')}: {', '.join(parts)}.")
    if receipt.unknown:
        lines.append(f"{counted(receipt.unknown, 'reference')} without a row in the database, kept as stated.")
    return lines + _order(receipt)


def _order(receipt: ImportReceipt) -> list[str]:
    from rebase_db.audit.place import LIKELY

    if receipt.order is not None and receipt.order >= LIKELY:
        return [f"That they are in the order of the ranking has a probability of {receipt.order:.3f}."]
    if receipt.order is not None:
        return ["Nothing shows that they are in the order of the ranking: only their own texts count."]
    if receipt.ranked and receipt.examples > receipt.stated:
        return ["They are too many to be aligned by their order: only their own texts were compared."]
    return []


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("import-rebase", rich_help_panel="Audit")(import_rebase)
    app.command("import-examples", rich_help_panel="Audit")(import_examples)
    app.command(rich_help_panel="Audit")(audit)
