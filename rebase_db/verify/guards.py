"""The triggers that keep history as it is: one that is gone or off tells that somebody meant to write around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.schema import Base
from rebase_db.schema.provenance import MUTABLE, trigger_statements
from rebase_db.schema.seal import SEALED, seal_statements
from rebase_db.verify.lie import Lie
from rebase_db.verify.read import stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

ENABLED = """\
SELECT relname, tgname, tgenabled IN ('O', 'A')
FROM pg_trigger
INNER JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = 'public'::regnamespace"""


def check_triggers(connection: Connection) -> Iterator[Lie]:
    """Triggers that guard or seal records, and are missing or off."""
    enabled = {(table, name): on for table, name, on in stream(connection, ENABLED)}
    for table in sorted({*MUTABLE, *SEALED}):
        for name in _triggers(table):
            if not enabled.get((table, name), False):
                fault = "switched off" if (table, name) in enabled else "missing"
                yield Lie(table, {}, f"its trigger {name} is {fault}")
    for (table, name), on in enabled.items():
        if not on and name.startswith("RI_"):
            yield Lie(table, {}, f"the trigger {name} of one of its foreign keys is switched off")


def _triggers(table: str) -> list[str]:
    columns = [column.name for column in Base.metadata.tables[table].columns]
    statements = trigger_statements(table, columns) if table in MUTABLE else []
    if table in SEALED:
        statements += seal_statements(Base.metadata.tables[table])
    words = [statement.split(maxsplit=3) for statement in statements]
    return sorted(name for create, what, name, _ in words if (create, what) == ("CREATE", "TRIGGER"))
