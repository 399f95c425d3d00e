"""Opening the database: find the server, check that it can serve, and hand out an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from rebase_db import settings
from rebase_db.database import embedded
from rebase_db.database.revision import HEAD
from rebase_db.errors import DatabaseError
from rebase_db.faults import FaultPoint, is_armed, reach

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection, Engine

MIN_POSTGRES = 16
MIN_PGVECTOR = (0, 8)
_CONNECTION = {
    "connect_timeout": 10,
    "application_name": "rebase-db",
    # Seals are over the bytes of texts as the session has them, so it is not for PGCLIENTENCODING to say.
    "client_encoding": "utf8",
    # A host that vanishes says nothing: without these a connection to it would be waited on for hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
IDLE_IN_TRANSACTION_SECONDS = 60
"""How long a frozen process may sit on row locks and hold up vacuuming before the server ends its connection."""


def open_engine(*, check_schema: bool = True) -> Engine:
    """An engine for the server named by the environment, or for the embedded one.

    The embedded server is this project's own: its schema is brought up to date here. A named server is changed by
    `rebase db upgrade` only.

    Args:
        check_schema: Whether the schema must be the one this code is written for.

    Raises:
        DatabaseError: One sentence for each way it cannot be used.
    """
    url = settings.database_url()
    engine = engine_for(embedded.start(settings.home()) if url is None else url)
    try:
        if url is None:
            if check_schema and current_revision(engine) != HEAD:
                from rebase_db.database import migrate

                migrate.upgrade(engine)
        else:
            check_server(engine)
            if check_schema:
                check_revision(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def engine_for(url: str) -> Engine:
    """An engine for a Postgres URL, with this project's settings; nothing is connected yet.

    Raises:
        DatabaseError: It is no Postgres URL. The message does not repeat it, for it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is no number
        parsed = None
    # An @ in the host is one in the password, which is cut at its first.
    if (
        parsed is None
        or parsed.get_backend_name() not in {"postgresql", "postgres"}
        or (parsed.host is not None and "@" in parsed.host)
    ):
        raise DatabaseError(
            f"{settings.DATABASE_URL} is not a Postgres URL.",
            hint="Write it as postgresql://user@host:5432/database; the password may come from PGPASSWORD, "
            "or stand in the URL with its special characters percent-encoded (@ as %40).",
        )
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        max_overflow=-1,  # a worker's threads use one each for a moment; none shall wait for another's
        hide_parameters=True,  # an error is kept with its row and may be logged; the row's text must not be in it
        connect_args=_CONNECTION,
    )
    event.listen(engine, "connect", _prepare_session)
    if is_armed(FaultPoint.STATEMENT):
        event.listen(engine, "before_cursor_execute", lambda *_: reach(FaultPoint.STATEMENT))
    return engine


def _prepare_session(connection: psycopg.Connection[Any], _: object) -> None:
    # By statement, not as start-up options, which connection poolers refuse. The driver reads no other style of dates,
    # and numbers shall come whole; the database's owner may have set something else.
    connection.execute(
        "SELECT set_config('idle_in_transaction_session_timeout', %s, false),"
        " set_config('DateStyle', 'ISO', false), set_config('IntervalStyle', 'postgres', false),"
        " set_config('extra_float_digits', '1', false)",
        [f"{IDLE_IN_TRANSACTION_SECONDS}s"],
    )
    connection.commit()


def check_server(engine: Engine) -> None:
    """Refuse a server that is out of reach, too old, or without pgvector.

    Raises:
        DatabaseError: Which of these, and what to do.
    """
    where = _where(engine)
    try:
        with engine.connect() as connection:
            version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
            vector = connection.execute(
                text("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
            ).scalar_one_or_none()
            installed = connection.execute(
                text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
            ).scalar_one_or_none()
    except DBAPIError as error:
        # Not only OperationalError: an option in the URL that libpq does not know is a ProgrammingError.
        # The driver's own words name host and cause and never the password.
        cause = " ".join(str(error.orig).split())
        raise DatabaseError(
            f"The database at {where} cannot be reached: {cause}", hint=f"Check {settings.DATABASE_URL} and the server."
        ) from error
    if version < MIN_POSTGRES * 10000:
        raise DatabaseError(
            f"The database at {where} is Postgres {version // 10000}; rebase-db needs {MIN_POSTGRES} or newer.",
            hint="Upgrade the server, or unset the variable to use the embedded one.",
        )
    found = installed or vector
    if found is None:
        raise DatabaseError(
            f"The database at {where} has no pgvector.",
            hint="Install the extension on the server (package postgresql-NN-pgvector, image pgvector/pgvector).",
        )
    if tuple(int(part) for part in found.split(".")[:2]) < MIN_PGVECTOR:
        raise DatabaseError(
            f"The database at {where} has pgvector {found}; rebase-db needs "
            f"{'.'.join(map(str, MIN_PGVECTOR))} or newer.",
            hint="Update the package, then ALTER EXTENSION vector UPDATE.",
        )


def current_revision(engine: Engine) -> str | None:
    """The revision the database's schema is at; None when it has none."""
    with engine.connect() as connection:
        return read_revision(connection)


def read_revision(connection: Connection) -> str | None:
    """The same over an open connection."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return revision


def check_revision(engine: Engine) -> None:
    """Refuse a schema that is missing, older or newer than this code's.

    Raises:
        DatabaseError: Which of these, and what to do.
    """
    found = current_revision(engine)
    where = _where(engine)
    if found == HEAD:
        return
    if found is None:
        raise DatabaseError(f"The database at {where} has no rebase-db schema yet.", hint="Run `rebase db upgrade`.")
    from rebase_db.database import migrate

    if found in migrate.known_revisions():
        raise DatabaseError(
            f"The schema at {where} is older than this rebase-db ({found}, needs {HEAD}).",
            hint="Stop the workers and run `rebase db upgrade`.",
        )
    raise DatabaseError(
        f"The schema at {where} is newer than this rebase-db (revision {found}, this code knows up to {HEAD}).",
        hint="Upgrade rebase-db on this machine.",
    )


def _where(engine: Engine) -> str:
    url = engine.url
    host = url.host or url.query.get("host") or "the local socket"
    return f"{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"
