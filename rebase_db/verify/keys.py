"""Every foreign key: with its triggers off, a table takes children without parents and lets parents go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.schema import Base
from rebase_db.verify.read import key_object, lies_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, ForeignKeyConstraint, Table

    from rebase_db.verify.lie import Lie


def check_foreign_keys(connection: Connection) -> Iterator[Lie]:
    """Records that refer to one that is not there. A key with a null in it refers to nothing."""
    for table in Base.metadata.sorted_tables:
        keys = sorted(table.foreign_key_constraints, key=lambda each: str(each.name))
        if keys:
            yield from lies_of(connection, " UNION ALL ".join(_query(table, each) for each in keys))


def _query(table: Table, key: ForeignKeyConstraint) -> str:
    columns = [element.parent.name for element in key.elements]
    parents = [element.column.name for element in key.elements]
    pairs = list(zip(columns, parents, strict=True))
    there = " AND ".join(f"child.{column} IS NOT NULL" for column in columns)
    same = " AND ".join(f"parent.{parent} = child.{column}" for column, parent in pairs)
    named = ", ".join(columns)
    return (
        f"SELECT '{table.name}' AS record,"  # noqa: S608 - names of our own metadata
        f" {key_object([column.name for column in table.primary_key], 'child.')} AS key,"
        f" 'there is no {key.referred_table.name} for its {named}' AS what, NULL AS expected,"
        f" concat_ws(', ', {', '.join(f'child.{column}' for column in columns)}) AS found"
        f" FROM {table.name} AS child WHERE {there}"
        f" AND NOT EXISTS (SELECT FROM {key.referred_table.name} AS parent WHERE {same})"
    )
