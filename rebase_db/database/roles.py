"""The reading role `rebase_reader`: it may read all tables and views, call the lineage functions, and nothing else.

Analysts and BI tools get logins of their own that are in it. Roles belong to the server and not to a database, so it is
made once, by whichever database comes first; what it may do is granted in each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.errors import DuplicateObject, InsufficientPrivilege, UniqueViolation
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

READER = "rebase_reader"

_SCHEMAS = ("public", "lineage")
_EXISTS = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :reader)")
_LACKS = text("""\
SELECT
    EXISTS (
        SELECT FROM pg_namespace
        WHERE nspname = ANY(:schemas) AND NOT has_schema_privilege(:reader, oid, 'USAGE')
    )
    OR EXISTS (
        SELECT FROM pg_class
        WHERE
            relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = ANY(:schemas))
            AND relkind IN ('r', 'p', 'v', 'm')
            AND NOT has_table_privilege(:reader, oid, 'SELECT')
    )
    OR EXISTS (
        SELECT FROM pg_proc
        WHERE pronamespace = to_regnamespace('lineage') AND NOT has_function_privilege(:reader, oid, 'EXECUTE')
    )""")


def grants() -> list[str]:
    """What lets the reading role read; to be run by whoever owns the tables."""
    schemas = ", ".join(_SCHEMAS)
    return [
        f"GRANT USAGE ON SCHEMA {schemas} TO {READER}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO {READER}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA lineage TO {READER}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schemas} GRANT SELECT ON TABLES TO {READER}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA lineage GRANT EXECUTE ON FUNCTIONS TO {READER}",
    ]


def let_read(engine: Engine) -> None:
    """Make the reading role if it is not there, and let it read the schema as it is now.

    Does nothing where our own role may not, or where the schema is older than the reading role: `missing` says so.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not _has_lineage(connection):
            return
        if not connection.execute(_EXISTS, {"reader": READER}).scalar_one():
            try:
                connection.execute(text(f"CREATE ROLE {READER} NOLOGIN"))
            except DBAPIError as error:
                if isinstance(error.orig, InsufficientPrivilege):
                    return
                # Another database of the server was faster.
                if not isinstance(error.orig, DuplicateObject | UniqueViolation):
                    raise
    try:
        with engine.begin() as connection:
            # Two who grant on one table at once would fail.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('rebase-db migrations'))"))
            if _lacks(connection):
                for statement in grants():
                    connection.execute(text(statement))
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise


def missing(engine: Engine) -> str:
    """What keeps the reading role from reading, and what an administrator does about it; empty when nothing does."""
    with engine.connect() as connection:
        if not _has_lineage(connection):
            return ""
        if not connection.execute(_EXISTS, {"reader": READER}).scalar_one():
            return (
                f"There is no role {READER}, which auditors and BI tools read by, and this role may make none. "
                f"An administrator runs CREATE ROLE {READER} NOLOGIN; then run `rebase db upgrade` again."
            )
        if _lacks(connection):
            return (
                f"The role {READER} cannot read everything here, and this role may not grant it. "
                f"Whoever owns the tables runs `rebase db upgrade`, or an administrator runs: {'; '.join(grants())}."
            )
    return ""


def _has_lineage(connection: Connection) -> bool:
    found: bool = connection.execute(text("SELECT to_regnamespace('lineage') IS NOT NULL")).scalar_one()
    return found


def _lacks(connection: Connection) -> bool:
    found: bool = connection.execute(_LACKS, {"reader": READER, "schemas": list(_SCHEMAS)}).scalar_one()
    return found
