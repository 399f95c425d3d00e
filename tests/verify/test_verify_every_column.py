"""Whatever a superuser changes, with all triggers off, shows: every column of every table, from the metadata."""

# ruff: noqa: S608 - the names are ours

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError, IntegrityError

from rebase_db.schema import Base
from rebase_db.schema.provenance import MUTABLE
from rebase_db.schema.seal import SEALED
from rebase_db.verify.run import Tally, verify_records
from rebase_db.verify.uncovered import PARTLY, UNCOVERED
from tests.verify.history import as_superuser
from tests.verify.plants import plants

if TYPE_CHECKING:
    from sqlalchemy import Table

    from rebase_db.verify.lie import Lie

SHOWS_IN = {
    "cell": {"source_row"},
    "retrieval_link": {"retrieval"},
    "text": {"source_row", "dataset"},
}
"""Where a lie of a column without a seal shows, if not in its own record."""
ROWS_EACH = 2


def first_lie(connection: Connection) -> Lie | None:
    return next(verify_records(connection, Tally()), None)


def planted(connection: Connection, table: Table, column: str, value: str, place: str) -> bool:
    """Whether the change was made; not if the value is the same, and not if a CHECK or unique key refuses it."""
    guard = f'"{column}" IS DISTINCT FROM ({value})'
    try:
        with connection.begin_nested():
            if table.c[column].identity is not None:
                connection.execute(text(f"ALTER TABLE {table.name} ALTER COLUMN {column} DROP IDENTITY"))
            statement = f'UPDATE {table.name} SET "{column}" = {value} WHERE ctid = :place AND {guard}'
            return connection.execute(text(statement), {"place": place}).rowcount == 1
    except (DataError, IntegrityError):  # no such value, or not by the rules
        return False


def places(connection: Connection, table: Table, column: str, limit: int) -> list[Any]:
    """Some records: those with a value first and last, and those without."""
    rows = f'SELECT ctid::text AS place, row_number() OVER (PARTITION BY "{column}" IS NULL) AS n FROM {table.name}'
    return list(connection.execute(text(f"SELECT place FROM ({rows}) AS rows ORDER BY n LIMIT {limit}")).scalars())


@pytest.mark.parametrize("name", sorted(Base.metadata.tables))
def test_every_changed_column_shows(connection: Connection, name: str) -> None:
    table = Base.metadata.tables[name]
    uncovered = UNCOVERED.get(name, {}).keys()
    unseen: dict[str, list[str]] = {}
    elsewhere = []
    for column in table.columns:
        # One change will do of what a seal is over, for it is over every bit alike, and of what nothing is over.
        alike = column.name in uncovered or (name in SEALED and column.name not in MUTABLE.get(name, ()))
        for value, place in product(plants(column), places(connection, table, column.name, 1 if alike else ROWS_EACH)):
            with as_superuser(connection):
                if not planted(connection, table, column.name, value, place):
                    continue
                lie = first_lie(connection)
            if lie is None:
                unseen.setdefault(column.name, []).append(f"{value} at {place}")
            elif lie.record not in {name, *SHOWS_IN.get(name, ())}:
                elsewhere.append(f"{column.name} to {value} at {place}: {lie}")
            if alike:
                break
    assert elsewhere == []
    assert not unseen.keys() - uncovered - PARTLY.get(name, {}).keys(), unseen
    assert uncovered <= unseen.keys()
