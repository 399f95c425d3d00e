"""Databases lent to tests, each emptied and lent again under another name: to copy one takes several times as long.

A database comes back as the template is, but for the tables' contents: what is left in them is deleted, sequences
start anew, and the planner knows nothing of what was there. One whose definitions were changed is dropped.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

# Any change of definitions or of rights makes, takes away or rewrites a row of these.
CATALOGS = (
    "pg_attrdef", "pg_attribute", "pg_collation", "pg_constraint", "pg_db_role_setting", "pg_default_acl", "pg_enum",
    "pg_event_trigger", "pg_extension", "pg_index", "pg_largeobject_metadata", "pg_namespace", "pg_policy", "pg_proc",
    "pg_rewrite", "pg_statistic_ext", "pg_trigger", "pg_type",
)  # fmt: skip
RELATIONS = """
    SELECT md5(string_agg(concat_ws(' ', oid, relname, relkind, relpersistence, relacl::text, reloptions::text), ','
        ORDER BY oid))
    FROM pg_class WHERE relpersistence <> 't'
"""  # by the columns that emptying does not change
SETTINGS = "SELECT concat(datconnlimit, datacl::text) FROM pg_database WHERE datname = current_database()"
REVISION = "SELECT string_agg(version_num, ',') FROM alembic_version"
DEFINITIONS = " UNION ALL ".join(
    [
        *(f"SELECT '{name}', concat(count(*), ' ', max(xmin::text::int8)) FROM {name}" for name in CATALOGS),  # noqa: S608
        *(f"SELECT '', ({query})" for query in (RELATIONS, SETTINGS, REVISION)),
    ]
)
OURS = "relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace, 'information_schema'::regnamespace)"
FILLED = (
    f"SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm') AND {OURS}"  # noqa: S608
    " AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0"
)
RESTART = """
    SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence
    WHERE pg_sequence_last_value(seqrelid) IS NOT NULL
"""
FORGET = (
    RESTART,
    f"DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE {OURS})",  # noqa: S608
    "SELECT pg_stat_reset()",
)
SIZES = f"SELECT oid, relpages, reltuples, relallvisible FROM pg_class WHERE relkind IN ('r', 'i', 'm') AND {OURS}"  # noqa: S608
RESIZE = """
    UPDATE pg_class SET relpages = was.pages, reltuples = was.rows, relallvisible = was.visible
    FROM unnest(CAST(:oids AS oid[]), CAST(:pages AS int[]), CAST(:rows AS real[]), CAST(:visible AS int[]))
        AS was (oid, pages, rows, visible)
    WHERE was.oid = pg_class.oid
"""
GROWN_BYTES = 4 * 2**20
"""Indexes do not shrink when they are emptied; and to empty what is larger takes longer than a copy."""
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def _read(connection: Connection, query: str) -> list[Any]:
    return [tuple(row) for row in connection.execute(text(query))]


class Lending:
    """The databases of one server that are copies of one template."""

    def __init__(self, server: str, template: str) -> None:
        self._server = server
        self._template = template
        self._kept: list[str] = []
        self._admin = self._connect("postgres")
        self._definitions: list[Any] | None = None
        self._sizes: set[Any] = set()
        self._bytes = 0

    def _connect(self, database: str) -> Connection:
        url = make_url(self._server).set(drivername="postgresql+psycopg", database=database)
        return create_engine(url, isolation_level="AUTOCOMMIT").connect()

    @contextmanager
    def _connected(self, database: str) -> Iterator[Connection]:
        connection = self._connect(database)
        try:
            yield connection
        finally:
            connection.close()
            connection.engine.dispose()

    def lend(self) -> str:
        """The name of an empty database; one that nobody has heard yet, and nobody can come back to."""
        name = f"rebase_test_{uuid.uuid4().hex[:12]}"
        if self._kept:
            self._do(f"ALTER DATABASE {self._kept.pop()} RENAME TO {name}")
        else:
            self._do(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        if self._definitions is None:
            with self._connected(name) as connection:
                self._definitions = _read(connection, DEFINITIONS)
                self._sizes = set(_read(connection, SIZES))
                self._bytes = self._size(connection)
        return name

    def take_back(self, name: str) -> None:
        """Empty a database, for the next; or drop it."""
        with suppress(DBAPIError):  # whatever a test has done to it, another need not care
            with self._connected(name) as connection:
                emptied = self._empty(connection)
            if emptied:
                self._kept.append(name)
                return
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def _empty(self, connection: Connection) -> bool:
        """Whether it is as it was lent."""
        connection.execute(text(f"SELECT pg_terminate_backend(pid, 10000) {OTHERS}"))
        if self._size(connection) > self._bytes + GROWN_BYTES or _read(connection, DEFINITIONS) != self._definitions:
            return False
        filled = [name for (name,) in _read(connection, FILLED)]
        if filled:
            # As a replica no trigger refuses.
            deletions = ("SET session_replication_role = replica", *(f"DELETE FROM {table}" for table in filled))  # noqa: S608
            connection.exec_driver_sql("; ".join(deletions))
            connection.exec_driver_sql(f"VACUUM (SKIP_DATABASE_STATS) {', '.join(filled)}")
            changed = [*(self._sizes - set(_read(connection, SIZES)))]
            names = ("oids", "pages", "rows", "visible")
            columns = {name: [size[place] for size in changed] for place, name in enumerate(names)}
            connection.execute(text(RESIZE), columns)
        for statement in FORGET:
            connection.execute(text(statement))
        return not _read(connection, FILLED)

    @staticmethod
    def _size(connection: Connection) -> int:
        return int(_read(connection, "SELECT pg_database_size(current_database())")[0][0])

    def _do(self, statement: str) -> None:
        self._admin.execute(text(statement))

    def close(self) -> None:
        """Drop what is kept."""
        for name in self._kept:
            self._do(f"DROP DATABASE {name} WITH (FORCE)")
        self._admin.close()
        self._admin.engine.dispose()
