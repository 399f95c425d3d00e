"""The `rebase` command: commands are in the modules beside this one, imported by the one that is called."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli import (
    audit,
    checks,
    control,
    corpus,
    database,
    encoders,
    export,
    fleet,
    grow,
    lineage,
    retract,
    run,
    sets,
    spending,
    stages,
    status,
    task,
    verify,
    what_if,
    work,
)

app = typer.Typer(
    name="rebase",
    help="Retrieval based distillation on Postgres: from existing datasets to a student, every example traceable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"auto_envvar_prefix": "REBASE", "help_option_names": ["-h", "--help"]},
)


class _show:  # noqa: N801 - a namespace, not a type
    """What the options of the whole command asked for."""

    traceback = False


def _version(asked: bool) -> None:
    if asked:
        from rebase_db import __version__

        print(__version__)  # noqa: T201 - the command's output
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", envvar="REBASE_DEBUG")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, allow_from_autoenv=False, help="Show the version."),
    ] = False,
) -> None:
    """Options of every command."""
    del version
    _show.traceback = debug


run.add_to(app)
grow.add_to(app)
corpus.add_to(app)
encoders.add_to(app)
task.add_to(app)
stages.add_to(app)
what_if.add_to(app)
spending.add_to(app)
checks.add_to(app)
stages.add_later_to(app)
sets.add_to(app)
lineage.add_to(app)
audit.add_to(app)
verify.add_to(app)
export.add_to(app)
retract.add_to(app)
status.add_to(app)
work.add_to(app)
fleet.add_to(app)
control.add_to(app)
database.add_to(app)


def main() -> None:
    """Run the command; one line for an error and one for what to do, unless `--debug` is given."""
    from rebase_db.errors import RebaseError

    try:
        app()
    except RebaseError as error:
        if _show.traceback:
            raise
        from cli.output import complain

        complain(error)
        sys.exit(error.exit_code)
    except Exception as error:
        from cli.output import complain
        from rebase_db.database.refusal import refusal

        refused = None if _show.traceback else refusal(error)
        if refused is None:
            raise
        complain(refused)
        sys.exit(refused.exit_code)


if __name__ == "__main__":
    main()
