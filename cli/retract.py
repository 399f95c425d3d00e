"""`rebase retract`: withdraw rows and datasets, take that back, erase what was withdrawn."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import JsonOption
from rebase_db.words import counted

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from rebase_db.retract.erase import Rewritten
    from rebase_db.retract.report import Report
    from rebase_db.retract.retraction import Request

retract = typer.Typer(
    help="Withdraw rows: from retrieval, from new training sets, and on demand from the database.", no_args_is_help=True
)

Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept and stands in messages.")]
By = Annotated[str | None, typer.Option("--by", help="Who asks for it; by default the user on this machine.")]
Mirrors = Annotated[
    bool, typer.Option("--mirrors", help="Withdraw rows with exactly the same content too, whatever their dataset.")
]
Preview = Annotated[bool, typer.Option("--preview", help="Only show the report; nothing is changed.")]
Erase = Annotated[bool, typer.Option("--erase", help="Erase texts and vectors as well; that cannot be taken back.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before erasing.")]
Number = Annotated[int, typer.Argument(metavar="ID", help="The retraction's number.")]


_KINDS = (
    ("dataset", "NAME", "The dataset's name.", "a dataset: every row, and whatever might be loaded into it."),
    ("row", "ROW", "The row as DATASET:CONFIG/SPLIT:INDEX.", "one row."),
    (
        "licence", "LICENCE", "As datasets state it; `unknown` for none stated.",
        "every dataset that has a licence now.",
    ),
    (
        "text", "TEXT", "The whole text of a cell; - reads standard input.",
        "every row with a cell that is exactly this text. Only the text's SHA-256 is kept of it.",
    ),
)  # fmt: skip
"""What can be withdrawn: the kind, what names it, and what that withdraws."""


def _add(kind: str, metavar: str, names: str, withdraws: str) -> None:
    """The command that withdraws a kind."""
    named = typer.Argument(..., metavar=metavar, help=names)

    @retract.command(kind, help=f"Withdraw {withdraws}")
    def command(
        *,
        said: str = named,
        reason: Reason,
        by: By = None,
        mirrors: Mirrors = False,
        preview: Preview = False,
        erase: Erase = False,
        yes: Yes = False,
        as_json: JsonOption = False,
    ) -> None:
        from rebase_db.retract.retraction import Request, this_user

        if kind == "text" and said == "-":
            # One line end is the shell's, not the text's.
            said = sys.stdin.read().removesuffix("\n")
        _retract(Request(kind, said, reason, by or this_user(), mirrors), preview, erase, yes, as_json)


for _kind in _KINDS:
    _add(*_kind)


@retract.command("undo")
def undo(number: Number, reason: Reason, as_json: JsonOption = False) -> None:
    """Take a retraction back: its rows are as they were, unless another retraction covers them."""
    from cli.output import emit_json, talk
    from cli.session import open_database
    from rebase_db.retract.retraction import undo as take_back

    with open_database().begin() as connection:
        done = take_back(connection, number, reason)
    if as_json:
        from dataclasses import asdict

        emit_json(asdict(done))
        return
    still = (
        f"; {counted(done.rows_still_retracted, 'row')} stay out by another retraction"
        if done.rows_still_retracted
        else ""
    )
    talk.print(f"Retraction {number} is taken back: {counted(done.rows_back, 'row')} back{still}.", soft_wrap=True)
    talk.print("The next `rebase retrieve` or `rebase run` of a task ranks with them.", soft_wrap=True)


@retract.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the retractions, newest first."""
    from cli.output import emit
    from cli.session import open_database
    from rebase_db.retract.retraction import list_retractions

    with open_database().connect() as connection:
        found = list_retractions(connection)
    if not as_json:
        shown = ("retraction", "kind", "target", "rows", "state", "reason", "asked_by", "created_at")
        found = [{name: one[name] for name in shown} | {"target": _target(one)} for one in found]
    emit(found, as_json=as_json, numbers=["retraction", "rows"])


@retract.command("show")
def show(number: Number, as_json: JsonOption = False) -> None:
    """Report on a retraction as things are now."""
    from cli.session import open_database
    from rebase_db.retract.report import report_on

    with open_database().connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        report = report_on(connection, number)
        connection.rollback()
    _emit(report, as_json=as_json)


@retract.command("erase")
def erase_(number: Number, yes: Yes = False, as_json: JsonOption = False) -> None:
    """Erase what a retraction covers; started again, it finishes what was interrupted."""
    from cli.session import open_database
    from rebase_db.retract.erase import erase as empty
    from rebase_db.retract.report import report_on

    engine = open_database()
    if not yes:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            report = report_on(connection, number)
            connection.rollback()
        if report.record.erased_at is None:
            _confirm(report)
    with engine.begin() as connection:
        report = empty(connection, number)
    _finish(engine, report, number, as_json)


def _retract(request: Request, preview: bool, erase: bool, yes: bool, as_json: bool) -> None:
    from cli.output import talk
    from cli.session import open_database
    from rebase_db.retract import retraction
    from rebase_db.retract.erase import erase_covered

    engine = open_database()
    if preview or (erase and not yes):
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            report = retraction.preview(connection, request)
            connection.rollback()
        if preview:
            _emit(report, as_json=as_json, erasure="Would be erased" if erase else None)
            talk.print("Nothing was changed: this is what it would do.")
            return
        _confirm(report)
    with engine.begin() as connection:
        report = retraction.retract(connection, request)
        if erase:
            report = erase_covered(connection, report)
    number = report.record.retraction or 0
    if erase:
        _finish(engine, report, number, as_json)
        return
    _emit(report, as_json=as_json)
    talk.print(f"`rebase retract undo {number} --reason …` takes it back.", soft_wrap=True)


def _finish(engine: Engine, report: Report, number: int, as_json: bool) -> None:
    """Write the tables anew, and say what was erased."""
    from cli.output import talk
    from rebase_db.errors import RetractionError
    from rebase_db.retract.erase import rewrite_tables

    talk.print("Writing the tables anew that the erased words were in; who uses them waits …")
    rewritten: Rewritten = rewrite_tables(engine, number)
    _emit(report, as_json=as_json, erasure="Erased", erased=True)
    if rewritten.complete:
        kept = report.to_erase.texts_kept
        stays = f" Of its texts {kept:,} had to stay, see above." if kept else ""
        talk.print(f"Erased by retraction {number}, from the files of the tables too.{stays}", soft_wrap=True)
        return
    held = f" Who may still see the old rows: {', '.join(rewritten.held_up_by)}." if rewritten.held_up_by else ""
    left = (
        f" Tables that are in use, or not this user's to write anew: {', '.join(rewritten.left)}."
        if rewritten.left
        else ""
    )
    raise RetractionError(
        f"Retraction {number} is erased, but the old bytes may still be in the files of the tables.{held}{left}",
        hint=f"Run `rebase retract erase {number}` when they are gone, as the owner of the database: it does the rest.",
    )


def _confirm(report: Report) -> None:
    from cli.retraction_report import show_report

    if not sys.stdin.isatty():
        raise typer.BadParameter("Erasing cannot be taken back, and there is no terminal to ask on: say --yes.")
    show_report(report, erasure="Would be erased", on_stderr=True)
    typer.confirm("Erase all this? It cannot be taken back.", abort=True, err=True)


def _emit(report: Report, *, as_json: bool, erasure: str | None = None, erased: bool = False) -> None:
    from cli.output import emit_json
    from cli.retraction_report import show_report

    if as_json:
        emit_json(report.as_dict(erased=erased))
    else:
        show_report(report, erasure=erasure)


def _target(one: dict[str, object]) -> object:
    target = str(one["target"])
    return f"sha256 {target[:12]}…" if one["kind"] == "text" else target


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(retract, name="retract", rich_help_panel="Lineage")
