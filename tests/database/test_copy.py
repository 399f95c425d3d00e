"""What goes in by binary COPY comes out of a plain SELECT as it was."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError

from rebase_db.database.copy import (
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    array_field,
    bytes_field,
    copy_in,
    driver,
    tuples,
)
from rebase_db.database.engine import engine_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from sqlalchemy import Connection

SQL_TYPE = {INT2: "smallint", INT4: "integer", INT8: "bigint", FLOAT4: "real", FLOAT8: "double precision"}
ONE_FIELD = struct.pack(">h", 1)

# One connection serves all examples of a property: each makes its own temporary table.
on_one_connection = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def shared(server_url: str) -> Iterator[Connection]:
    engine = engine_for(server_url)
    with engine.connect() as connection:
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.fixture
def connection(shared: Connection) -> Iterator[Connection]:
    yield shared
    shared.rollback()


def round_trip(connection: Connection, columns: dict[str, str], buffers: list[bytes]) -> list[Any]:
    """Copy tuples into a new table of these columns and types, and read them with SELECT."""
    connection.rollback()
    declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    connection.execute(text(f"CREATE TEMPORARY TABLE target (place serial, {declared}) ON COMMIT DROP"))
    copy_in(connection, "target", list(columns), buffers)
    found = connection.execute(text("SELECT * FROM target ORDER BY place"))
    return [tuple(row)[1:] for row in found]


def numbers(kind: str) -> st.SearchStrategy[NDArray[Any]]:
    """Arrays of one type, over its whole range, NaN and infinities included."""
    return arrays(np.dtype(kind), st.integers(1, 40))


@pytest.mark.parametrize("kind", SQL_TYPE)
def test_numbers(connection: Connection, kind: str) -> None:
    @on_one_connection
    @given(values=numbers(kind))
    def check(values: NDArray[Any]) -> None:
        found = round_trip(connection, {"value": SQL_TYPE[kind]}, [tuples([("value", kind)], [values])])
        np.testing.assert_array_equal(np.array([value for (value,) in found], np.dtype(kind)), values)

    check()


def test_the_ends_of_each_type(connection: Connection) -> None:
    kinds = [INT2, INT4, INT8]
    limits = [np.iinfo(np.dtype(kind)) for kind in kinds]
    ends = [np.array([limit.min, -1, 0, limit.max]) for limit in limits]
    fields = [(f"n{place}", kind) for place, kind in enumerate(kinds)]
    found = round_trip(connection, {name: SQL_TYPE[kind] for name, kind in fields}, [tuples(fields, ends)])
    assert found == list(zip(*(end.tolist() for end in ends), strict=True))
    (floats,) = zip(
        *round_trip(
            connection,
            {"value": SQL_TYPE[FLOAT8]},
            [tuples([("value", FLOAT8)], [np.array([math.inf, -math.inf, 5e-324, 1.7e308, -0.0])])],
        ),
        strict=True,
    )
    assert floats == (math.inf, -math.inf, 5e-324, 1.7e308, 0.0)
    assert math.copysign(1, floats[-1]) == -1


def test_a_constant_stands_for_a_whole_column(connection: Connection) -> None:
    fields = [("always", INT4), ("each", INT8), ("half", FLOAT4)]
    buffer = tuples(fields, [7, np.arange(3, dtype=np.int64), 0.5])
    columns = {name: SQL_TYPE[kind] for name, kind in fields}
    assert round_trip(connection, columns, [buffer]) == [(7, 0, 0.5), (7, 1, 0.5), (7, 2, 0.5)]
    assert round_trip(connection, columns, [tuples(fields, [1, 2, 0.25])]) == [(1, 2, 0.25)]


def test_no_rows_and_many_buffers(connection: Connection) -> None:
    fields = [("value", INT4)]
    none = tuples(fields, [np.empty(0, np.int32)])
    some = [tuples(fields, [np.arange(first, first + 1000)]) for first in range(0, 100_000, 1000)]
    assert round_trip(connection, {"value": "integer"}, []) == []
    assert round_trip(connection, {"value": "integer"}, [none]) == []
    found = round_trip(connection, {"value": "integer"}, [none, *some, none])
    assert found == [(value,) for value in range(100_000)]


@pytest.mark.parametrize("kind", [INT2, INT4, FLOAT4])
def test_arrays(connection: Connection, kind: str) -> None:
    @on_one_connection
    @given(values=st.lists(arrays(np.dtype(kind), st.integers(0, 20)), min_size=1, max_size=5))
    def check(values: list[NDArray[Any]]) -> None:
        buffers = [ONE_FIELD + array_field(value, kind) for value in values]
        found = round_trip(connection, {"value": f"{SQL_TYPE[kind]}[]"}, buffers)
        assert len(found) == len(values)
        for (read,), value in zip(found, values, strict=True):
            np.testing.assert_array_equal(np.array(read, np.dtype(kind)), value)

    check()


def test_an_array_is_what_postgres_itself_would_make(connection: Connection) -> None:
    """Not only when read back: dimensions, lower bound and the empty array are those of a literal."""
    buffers = [ONE_FIELD + array_field(np.array(values, np.int32), INT4) for values in ([], [5], [3, 1, 2])]
    round_trip(connection, {"value": "integer[]"}, buffers)
    query = """
        SELECT value = CAST(literal AS integer[]), array_dims(value)
        FROM target JOIN (VALUES (1, '{}'), (2, '{5}'), (3, '{3,1,2}')) AS made (place, literal) USING (place)
        ORDER BY place"""
    found = connection.execute(text(query))
    assert found.all() == [(True, None), (True, "[1:1]"), (True, "[1:3]")]


def test_a_large_array(connection: Connection) -> None:
    values = np.random.default_rng(1).standard_normal(300_000).astype(np.float32)
    ((read,),) = round_trip(connection, {"value": "real[]"}, [ONE_FIELD + array_field(values, FLOAT4)])
    np.testing.assert_array_equal(np.array(read, np.float32), values)


def test_bytes_text_and_null(connection: Connection) -> None:
    blobs = [b"", b"\0\xff\n\\.", None, bytes(range(256)) * 40_000]
    texts = ["", "a\tb\\N\n", None, "ü𝄞" * 100_000]
    buffers = [
        struct.pack(">h", 2) + bytes_field(blob) + bytes_field(None if value is None else value.encode())
        for blob, value in zip(blobs, texts, strict=True)
    ]
    assert round_trip(connection, {"blob": "bytea", "value": "text"}, buffers) == list(zip(blobs, texts, strict=True))


def test_names_are_quoted(connection: Connection) -> None:
    connection.execute(text('CREATE TEMPORARY TABLE "Odd ""name""" ("a b" integer) ON COMMIT DROP'))
    copy_in(connection, 'Odd "name"', ["a b"], [tuples([("a b", INT4)], [np.array([1, 2])])])
    assert connection.execute(text('SELECT sum("a b") FROM "Odd ""name"""')).scalar_one() == 3


def test_a_copy_is_part_of_the_transaction_and_a_bad_one_leaves_nothing(connection: Connection) -> None:
    connection.execute(text("CREATE TEMPORARY TABLE target (value integer CHECK (value > 0)) ON COMMIT DROP"))
    savepoint = connection.begin_nested()
    with pytest.raises(psycopg.errors.CheckViolation):
        copy_in(connection, "target", ["value"], [tuples([("value", INT4)], [np.array([1, 0])])])
    savepoint.rollback()
    assert connection.execute(text("SELECT count(*) FROM target")).scalar_one() == 0

    def broken() -> Iterator[bytes]:
        yield tuples([("value", INT4)], [np.array([1])])
        raise RuntimeError("the source broke off")

    savepoint = connection.begin_nested()
    with pytest.raises(RuntimeError, match="broke off"):
        copy_in(connection, "target", ["value"], broken())
    savepoint.rollback()
    copy_in(connection, "target", ["value"], [tuples([("value", INT4)], [np.array([5])])])
    assert connection.execute(text("SELECT value FROM target")).scalar_one() == 5


def test_a_closed_connection_has_no_driver(server_url: str) -> None:
    engine = engine_for(server_url)
    with engine.connect() as connection:
        assert driver(connection).execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(InvalidRequestError):
        driver(connection)
    engine.dispose()
