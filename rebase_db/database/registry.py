"""Rows that exist once by content: insert, or find the one that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table
    from sqlalchemy.orm import DeclarativeBase


def find_or_insert(
    connection: Connection, model: type[DeclarativeBase], unique: Sequence[str], values: dict[str, Any]
) -> int:
    """The integer primary key of the row whose `unique` columns have these values, inserted if there is none.

    Safe against a concurrent insert of the same row: the loser waits and finds the winner's.
    """
    table = cast("Table", model.__table__)
    (key,) = table.primary_key.columns
    same = [table.c[name] == values[name] for name in unique]
    found = connection.execute(select(key).where(*same)).scalar_one_or_none()
    if found is None:
        found = connection.execute(
            insert(model).values(values).on_conflict_do_nothing(index_elements=list(unique)).returning(key)
        ).scalar_one_or_none()
    if found is None:
        found = connection.execute(select(key).where(*same)).scalar_one()
    return int(found)
