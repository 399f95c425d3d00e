"""COPY in Postgres's binary format, built as whole buffers rather than value by value.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": a 19-byte header, then per tuple a
16-bit field count and per field a 32-bit length and its bytes, all big-endian, then a 16-bit -1. Tuples of fixed width
are therefore NumPy records, and a table of a million integers goes in without a Python loop.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg
    from numpy.typing import NDArray
    from sqlalchemy import Connection

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
NULL = struct.pack(">i", -1)

INT2, INT4, INT8, FLOAT4, FLOAT8 = ">i2", ">i4", ">i8", ">f4", ">f8"
_ELEMENT_OID = {INT2: 21, INT4: 23, FLOAT4: 700}


def driver(connection: Connection) -> psycopg.Connection[Any]:
    """The psycopg connection under a SQLAlchemy one, sharing its transaction."""
    found: psycopg.Connection[Any] | None = connection.connection.driver_connection
    if found is None:
        raise RuntimeError("the connection is closed")
    return found


def copy_in(connection: Connection, table: str, columns: Sequence[str], buffers: Iterable[bytes]) -> None:
    """Append tuples, given as buffers without header and trailer, to `table`."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(HEADER)
        for buffer in buffers:
            copy.write(buffer)
        copy.write(TRAILER)


def tuple_type(fields: Sequence[tuple[str, str]]) -> np.dtype[np.void]:
    """The record type of a fixed-width tuple: name and big-endian type of each field, in order."""
    layout: list[tuple[str, str]] = [("_fields", INT2)]
    for name, kind in fields:
        layout += [(f"_{name}", INT4), (name, kind)]
    return np.dtype(layout)


def tuples(fields: Sequence[tuple[str, str]], columns: Sequence[NDArray[Any] | int | float]) -> bytes:
    """A buffer of fixed-width tuples from one array (or constant) per field."""
    kind = tuple_type(fields)
    length = max((len(column) for column in columns if isinstance(column, np.ndarray)), default=1)
    records = np.empty(length, kind)
    records["_fields"] = len(fields)
    for (name, _), column in zip(fields, columns, strict=True):
        records[f"_{name}"] = kind[name].itemsize
        records[name] = column
    return records.tobytes()


def array_field(values: NDArray[Any], element: str) -> bytes:
    """One field holding a one-dimensional array without nulls, length word included (`array_send`)."""
    record = np.dtype([("length", INT4), ("value", element)])
    elements = np.empty(len(values), record)
    elements["length"] = record["value"].itemsize
    elements["value"] = values
    body = elements.tobytes()
    head = struct.pack(">iiiii", 1, 0, _ELEMENT_OID[element], len(values), 1)
    return struct.pack(">i", len(head) + len(body)) + head + body


def bytes_field(value: bytes | None) -> bytes:
    """One field of raw bytes (text, bytea), length word included; None is NULL."""
    return NULL if value is None else struct.pack(">i", len(value)) + value
