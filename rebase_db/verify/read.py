"""Reading for checks: rows as the server finds them, never more than one at a time in memory."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from rebase_db.database.copy import driver
from rebase_db.schema import Base
from rebase_db.sql import named
from rebase_db.verify.lie import Lie

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from sqlalchemy import Connection


def stream(
    connection: Connection, query: str, parameters: Mapping[str, Any] | None = None, *, binary: bool = False
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query as they come; the connection is taken until they are exhausted or the iterator is closed.

    Not by a cursor of the server, for which it would use one core and plan for the first rows.
    """
    with driver(connection).cursor() as cursor:
        rows = cast(
            "Generator[tuple[Any, ...]]",
            cursor.stream(query.encode(), parameters, binary=binary),
        )
        with closing(rows):
            yield from rows


def lies_of(connection: Connection, query: str, parameters: Mapping[str, Any] | None = None) -> Iterator[Lie]:
    """The lies a query finds; its columns are those of `Lie`."""
    for record, key, *told in stream(connection, query, parameters or {}):
        order = Base.metadata.tables[record].primary_key  # jsonb keeps none
        yield Lie(record, {column.name: key[column.name] for column in order}, *told)


def named_lies(connection: Connection, name: str, parameters: Mapping[str, Any] | None = None) -> Iterator[Lie]:
    """The lies that `<name>.sql` finds."""
    return lies_of(connection, named(name), parameters)


def key_object(columns: list[str], prefix: str) -> str:
    """SQL for an object of these columns, which are names of our own metadata."""
    pairs = (f"'{column}', {prefix}{column}" for column in columns)
    return f"jsonb_build_object({', '.join(pairs)})"
