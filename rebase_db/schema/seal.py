"""Seals: a hash in every record over all of it that does not change, so that a changed byte shows.

A trigger computes it when the record is written, and again when a column is written once or erased, if what was there
before was true; nothing else may touch it. It is SHA-256 over `record_send` of the columns in their order, so that the
server can recompute a million of them in seconds. Cells have none: they are held against their row's content hash;
texts carry their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import Column, LargeBinary, event
from sqlalchemy.schema import DDL

from rebase_db.schema.base import Base, after_create
from rebase_db.schema.provenance import MUTABLE, late_columns, refusal

if TYPE_CHECKING:
    from sqlalchemy import Table

SEALED = (*(name for name in MUTABLE if name not in {"cell", "text"}), "row_score")
"""The tables whose records carry a seal."""


def seal_expression(table: Table, prefix: str = "", late: str | None = None) -> str:
    """What a record's seal must be, in SQL over the table's columns, each after `prefix`; late ones after `late`."""
    prefixes = dict.fromkeys(late_columns(table.name), prefix if late is None else late)
    changing = MUTABLE.get(table.name, set()) | {"seal"}
    columns = [column for column in table.columns if column.name not in changing]
    # An extension's type has another number in every database, which record_send writes; bytea has one.
    parts = (
        f"halfvec_send({name})" if isinstance(column.type, HALFVEC) else name
        for column, name in ((each, f"{prefixes.get(each.name, prefix)}{each.name}") for each in columns)
    )
    return f"sha256(record_send(ROW({', '.join(parts)})))"


def seal_statements(table: Table) -> list[str]:
    """The function and the triggers that seal a table's records."""
    name = table.name
    late = late_columns(name)
    events = f"INSERT OR UPDATE OF {', '.join(late)}" if late else "INSERT"
    # Whoever switches one trigger off and leaves this one on shall not have a seal made for what they write, nor shall
    # what was written around all triggers get one later.
    kept = (
        f"    IF TG_OP = 'UPDATE' THEN\n        IF {refusal(name)}\n"
        f"            OR OLD.seal <> {seal_expression(table, 'NEW.', 'OLD.')}\n"
        "        THEN\n            RETURN NEW;\n        END IF;\n    END IF;\n"
        if late
        else ""
    )
    return [
        (
            f"CREATE FUNCTION seal_{name}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
            f"BEGIN\n{kept}    NEW.seal := {seal_expression(table, 'NEW.')};\n    RETURN NEW;\nEND $$"
        ),
        # Triggers fire in order of name: after those that refuse.
        f"CREATE TRIGGER {name}_seal BEFORE {events} ON {name} FOR EACH ROW EXECUTE FUNCTION seal_{name}()",
    ]


def add_columns() -> None:
    """Give the sealed tables their column; before the triggers that guard it are made."""
    for name in SEALED:
        Base.metadata.tables[name].append_column(Column("seal", LargeBinary, nullable=False))


def attach() -> None:
    """Hang functions and triggers on the metadata, so that a schema created from it has them too."""
    for name in SEALED:
        table = Base.metadata.tables[name]
        function, trigger = seal_statements(table)
        event.listen(Base.metadata, "before_create", DDL(function.replace("%", "%%")))  # type: ignore[no-untyped-call]
        after_create(table, trigger)
