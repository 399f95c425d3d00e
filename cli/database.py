"""`rebase up`, `down` and `db`: the server and its schema."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def up() -> None:
    """Start the embedded database and keep it running until `rebase down`."""
    from cli.output import data, talk
    from cli.session import open_database
    from rebase_db import settings
    from rebase_db.database import embedded

    if settings.database_url() is not None:
        talk.print("REBASE_DATABASE_URL names a server; checking that one.")
        open_database()
        talk.print("It is up, and its schema is current.")
        return
    open_database()
    embedded.keep_running(settings.home())
    talk.print(f"The embedded database is up in {settings.home()}.", markup=False)
    data.print(embedded.start(settings.home()), markup=False, soft_wrap=True)


def down() -> None:
    """Stop the embedded database, whoever uses it."""
    from cli.output import talk
    from rebase_db import settings
    from rebase_db.database import embedded
    from rebase_db.errors import DatabaseError

    if settings.database_url() is not None:
        raise DatabaseError(
            "REBASE_DATABASE_URL names a server, which is not this command's to stop.",
            hint="Unset it to stop the embedded database.",
        )
    stopped = embedded.stop(settings.home())
    talk.print("The embedded database is stopped." if stopped else "The embedded database was not running.")


db = typer.Typer(help="The schema of the database.", no_args_is_help=True)


@db.command("upgrade")
def upgrade() -> None:
    """Bring the schema up to date. Safe while others run; they take turns."""
    from cli.output import talk
    from rebase_db.database import migrate, roles
    from rebase_db.database.engine import current_revision, open_engine
    from rebase_db.database.revision import HEAD

    engine = open_engine(check_schema=False)
    before = current_revision(engine)
    migrate.upgrade(engine)
    talk.print(f"The schema is at {HEAD}" + (", as it was." if before == HEAD else f" (was {before or 'empty'})."))
    if missing := roles.missing(engine):
        talk.print(missing, markup=False, soft_wrap=True)


@db.command("check")
def check() -> None:
    """Check that the database can be used and that its schema is this version's."""
    from cli.output import talk
    from cli.session import open_database
    from rebase_db.database import migrate

    migrate.check(open_database())
    talk.print("The database is reachable and its schema is current.")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (up, down):
        app.command(rich_help_panel="Database")(command)
    app.add_typer(db, name="db", rich_help_panel="Database")
