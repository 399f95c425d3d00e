"""Every seal, recomputed in the server over the record's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.schema import Base
from rebase_db.schema.seal import SEALED, seal_expression
from rebase_db.verify.read import key_object, lies_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from rebase_db.verify.lie import Lie


def check_seals(connection: Connection) -> Iterator[Lie]:
    """Records with a column, of those that never change, that is not what it was when the record was written."""
    for name in SEALED:
        yield from lies_of(connection, _query(name))


def _query(name: str) -> str:
    table = Base.metadata.tables[name]
    key = key_object([column.name for column in table.primary_key], "sealed.")
    return (
        f"SELECT '{name}', {key}, 'its seal is not that of its columns',"  # noqa: S608 - names of our own metadata
        " encode(computed.seal, 'hex'), encode(sealed.seal, 'hex')"
        f" FROM {name} AS sealed CROSS JOIN LATERAL (SELECT {seal_expression(table, 'sealed.')} AS seal) AS computed"
        " WHERE sealed.seal IS DISTINCT FROM computed.seal"
    )
