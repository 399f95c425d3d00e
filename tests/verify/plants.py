"""Changes that a superuser may make to one column, as SQL over its present value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import Boolean, Float, LargeBinary, Numeric
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.types import Integer, Text

from rebase_db.states import JOB, LINK

if TYPE_CHECKING:
    from sqlalchemy import Column

# A byte more or less at the end, a bit of the first, another case.
TEXTS = ("{} || ' '", "overlay({} placing chr(ascii({}) # 1) from 1)", "'2' || {}")
JSON = ("jsonb_build_object('planted', {})", "'[1e400, null]'", "{} || '{{\"planted\": [1]}}'")


KINDS: tuple[tuple[Any, tuple[str, ...], str], ...] = (
    (Boolean, ("NOT {}",), "true"),
    (Integer, ("{} + 1", "{} - 1", "-{} - 7"), "1"),
    ((Numeric, Float), ("{} + 0.001", "-{} - 1"), "0.25"),
    (TIMESTAMP, ("{} + interval '1 day'", "{} - interval '1 day'"), "clock_timestamp()"),
    (LargeBinary, ("set_byte({}, 5, get_byte({}, 5) # 1)", "set_bit({}, 255, 1 - get_bit({}, 255))"), "sha256('x')"),
    (LargeBinary, ("{} || '\\x00'",), "'\\x00'"),
    (JSONB, JSON, "'{}'"),
    (ARRAY, ("{} || {}", "{}[2:]"), "'{}'"),
    (HALFVEC, ("(SELECT array_agg(-part)::halfvec FROM unnest({}::real[]) AS part)",), "'[1]'"),
    (Text, TEXTS, "'x'"),
)
"""By type expressions over the column, and a value for where it has none."""


def plants(column: Column[Any]) -> list[str]:
    """Expressions for new values, of which some may be the old one."""
    name = f'"{column.name}"'
    found: list[str] = []
    for kind, changes, anew in KINDS:
        if isinstance(column.type, kind):
            found += (change.format(*[name] * change.count("{}")) for change in changes)
            if column.nullable:
                of_type = column.type.compile(postgresql.dialect())  # type: ignore[no-untyped-call]
                found.append(f"CASE WHEN {name} IS NULL THEN CAST({anew} AS {of_type}) END")
    assert found, f"no way to change {column!r}"
    if column.name == "state":
        found += (f"'{state}'" for state in sorted({*JOB.states, *LINK.states}))
    return found
