"""`rebase verify`: whether every record is what it was when it was written."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.database import JsonOption
from rebase_db.words import counted


def verify(
    artifacts: Annotated[
        bool, typer.Option(help="Read the files of trained students too; leave it out where they are on another host.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Recompute every hash, seal, ranking, count and chain of the database, and say which record lies.

    A line a lie on stdout. Exit code 1 if there is any. Nothing is changed, and others may work meanwhile.
    """
    from cli.output import TerminalReporter, data, emit_json, talk
    from cli.session import open_database
    from rebase_db.verify.run import CHECKS, Tally
    from rebase_db.verify.run import verify as run

    engine, tally, lies = open_database(), Tally(), list[dict[str, object]]()
    number = 0
    # Where both are the terminal, only the console of the live bar can print above it.
    out = talk if sys.stdout.isatty() and sys.stderr.isatty() else data
    with TerminalReporter().step("Verify") as shown:
        shown.total(len(CHECKS) + artifacts)

        def on_check(name: str) -> None:
            shown.done(list(CHECKS).index(name) if name in CHECKS else len(CHECKS))
            shown.note(name)

        for lie in run(engine, tally, files=artifacts, on_check=on_check):
            number += 1
            if as_json:
                lies.append(lie.as_dict())
            else:
                out.print(str(lie), markup=False, soft_wrap=True)
    if as_json:
        emit_json({"lies": lies, "records": tally.records, "hashes": tally.hashes})
    looked_at = f"{counted(tally.records, 'record')} and {counted(tally.hashes, 'hash', 'hashes')} checked."
    if number:
        talk.print(f"[bold red]{counted(number, 'lie')}[/] in {looked_at}", soft_wrap=True)
        raise typer.Exit(1)
    talk.print(f"No record lies: {looked_at}", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Lineage")(verify)
