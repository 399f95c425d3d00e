"""A single bit of any text or hash that is flipped shows."""

# ruff: noqa: S608 - the names are ours

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
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
    (name, column.name, isinstance(column.type, LargeBinary))
    for name, table in sorted(Base.metadata.tables.items())
    for column in table.columns
    if isinstance(column.type, Text | LargeBinary)
    and column.name not in {**UNCOVERED.get(name, {}), **PARTLY.get(name, {})}
]


@given(column=st.sampled_from(COLUMNS), row=st.integers(0, 50), bit=st.integers(0, 2**12))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_flipped_bit_shows(connection: Connection, column: tuple[str, str, bool], row: int, bit: int) -> None:
    table, name, is_bytes = column
    stored = connection.execute(text(f'SELECT ctid::text, "{name}" FROM {table} WHERE "{name}" IS NOT NULL')).all()
    assume(stored)
    place, value = stored[row % len(stored)]
    data = bytearray(value if is_bytes else value.encode())
    assume(data)
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    try:
        changed: str | bytes = bytes(data) if is_bytes else data.decode()
    except UnicodeDecodeError:
        changed = "\0"
    assume(is_bytes or "\0" not in str(changed))
    change = text(f'UPDATE {table} SET "{name}" = :changed WHERE ctid = :place')
    with as_superuser(connection):
        try:
            connection.execute(change, {"changed": changed, "place": place})
        except (DataError, IntegrityError):
            return  # a CHECK or a unique key refuses it
        assert next(verify_records(connection, Tally()), None) is not None
