"""A record that is deleted, with all triggers off, shows where a chain or a key leads to it."""

# ruff: noqa: S608 - the names are ours

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db.schema import Base
from rebase_db.verify.run import Tally, verify_records
from rebase_db.verify.uncovered import DELETIONS
from tests.verify.history import as_superuser

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROWS_EACH = 3


@pytest.mark.parametrize("name", sorted(Base.metadata.tables))
def test_a_deleted_record_shows(connection: Connection, name: str) -> None:
    rows = (
        connection.execute(text(f"SELECT ctid::text AS place FROM {name} ORDER BY ctid LIMIT {ROWS_EACH}"))
        .scalars()
        .all()
    )
    unseen = []
    for place in rows:
        with as_superuser(connection):
            assert connection.execute(text(f"DELETE FROM {name} WHERE ctid = :place"), {"place": place}).rowcount == 1
            if next(verify_records(connection, Tally()), None) is None:
                unseen.append(place)
    assert bool(unseen) == (name in DELETIONS), unseen
