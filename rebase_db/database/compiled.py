"""Statements that are compiled once and sent as they are: for those that run thousands of times a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Select

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]


class Compiled:
    """A statement as the driver takes it.

    SQLAlchemy caches compiled statements too, but finding one and filling it in takes as long as the server needs for a
    small batch. Every parameter must be given, and goes to the driver as it is.
    """

    def __init__(self, statement: Select[Any]) -> None:
        compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        self._sql = str(compiled)
        self._constants = dict(compiled.params)

    def execute(self, connection: Connection, parameters: dict[str, Any]) -> Sequence[Any]:
        """Run it with these parameters; its rows."""
        return connection.exec_driver_sql(self._sql, self._constants | parameters).all()
