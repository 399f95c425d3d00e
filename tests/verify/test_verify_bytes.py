"""A single bit of any text or hash that is flipped shows."""

# ruff: noqa: S608 - the names are ours

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from sqlalchemy import LargeBinary, text
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.types import Text

from rebase_db.schema import Base
from rebase_db.verify.run import Tally, verify_records
from rebase_db.verify.uncovered import PARTLY, UNCOVERED
from tests.verify.history import as_superuser

if TYPE_CHECKING:
    from sqlalchemy import Connection

COLUMNS = [
    (name, column.name)
    for name, table in sorted(Base.metadata.tables.items())
    for column in table.columns
    if isinstance(column.type, Text | LargeBinary)
    and column.name not in {**UNCOVERED.get(name, {}), **PARTLY.get(name, {})}
]
TRIES = 40
"""Bits of a column that are flipped until one makes a value that the column takes."""


def test_any_flipped_bit_shows(connection: Connection) -> None:
    """In every column that has a value, one bit of one value, other ones in each run of the tests."""
    held = [
        (table, name)
        for table, name in COLUMNS
        if connection.execute(text(f"SELECT FROM {table} WHERE \"{name}\" <> '' LIMIT 1")).first() is not None
    ]
    ends = {column: _until_it_shows(connection, *column) for column in held}
    assert [column for column, end in ends.items() if end is None] == []
    # Of a column that takes only some words a flipped bit makes none of them; of most there is one that it takes.
    assert sum(end == "shown" for end in ends.values()) > 0.8 * len(held)
    assert len(held) > 0.9 * len(COLUMNS)


def _until_it_shows(connection: Connection, table: str, name: str) -> str | None:
    end = None
    for _ in range(TRIES):
        end = _flip(connection, table, name) or end
        if end == "shown":
            break
    return end


def _flip(connection: Connection, table: str, name: str) -> str | None:
    """Flip some bit of some value: None where that is no text. Raises where it is stored and nobody says it lies."""
    stored = connection.execute(text(f'SELECT ctid::text, "{name}" FROM {table} WHERE "{name}" <> \'\'')).all()
    place, value = random.choice(stored)  # noqa: S311 - no secret
    data = bytearray(value if isinstance(value, bytes) else value.encode())
    bit = random.randrange(8 * len(data))  # noqa: S311
    data[bit // 8] ^= 1 << bit % 8
    try:
        changed = bytes(data) if isinstance(value, bytes) else data.decode()
    except UnicodeDecodeError:
        return None
    if not isinstance(changed, bytes) and "\0" in changed:
        return None
    with as_superuser(connection):
        try:
            change = text(f'UPDATE {table} SET "{name}" = :changed WHERE ctid = :place')
            connection.execute(change, {"changed": changed, "place": place})
        except (DataError, IntegrityError):  # a CHECK or a unique key refuses it
            return "refused"
        assert next(verify_records(connection, Tally()), None) is not None, (table, name, value, changed)
    return "shown"
