"""What keeps history as it is: triggers, their functions, and constraints.

One that is gone, off or another tells that somebody meant to write around it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rebase_db.schema import Base
from rebase_db.schema.provenance import MUTABLE, REFUSE_FUNCTION, REFUSE_VECTOR_FUNCTION, trigger_statements
from rebase_db.schema.seal import SEALED, seal_statements
from rebase_db.verify.lie import Lie
from rebase_db.verify.read import stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

TRIGGERS = """\
SELECT relname, tgname, tgenabled IN ('O', 'A'), pg_get_triggerdef(pg_trigger.oid)
FROM pg_trigger
INNER JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = 'public'::regnamespace"""
BODIES = """\
SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND pronargs = 0"""
CONSTRAINTS = """\
SELECT relname, conname, convalidated
FROM pg_constraint
INNER JOIN pg_class ON pg_class.oid = conrelid
WHERE relnamespace = 'public'::regnamespace"""

_TRIGGER = re.compile(r"CREATE TRIGGER (\w+) ")
_FUNCTION = re.compile(r"CREATE FUNCTION (\w+)\(\).*?\$\$(.*)\$\$", re.DOTALL)
# The server spells definitions its own way.
_SPELLING = re.compile(r'public\.|[\s()"]')


def check_triggers(connection: Connection) -> Iterator[Lie]:
    """Triggers that guard or seal records, and are missing, off or another; so of their functions."""
    found = {(table, name): (on, definition) for table, name, on, definition in stream(connection, TRIGGERS)}
    bodies = dict(stream(connection, BODIES))
    yield from _check_function("event", REFUSE_FUNCTION, bodies)
    yield from _check_function("embedding", REFUSE_VECTOR_FUNCTION, bodies)
    for table in sorted({*MUTABLE, *SEALED}):
        for statement in sorted(_statements(table)):
            named = _TRIGGER.match(statement)
            if named is None:
                yield from _check_function(table, statement, bodies)
                continue
            on, definition = found.get((table, named[1]), (None, ""))
            if on is None:
                yield Lie(table, {}, f"its trigger {named[1]} is missing")
            elif not on:
                yield Lie(table, {}, f"its trigger {named[1]} is switched off")
            elif _plain(definition) != _plain(statement):
                yield Lie(table, {}, f"its trigger {named[1]} is another", statement, definition)
    for (table, name), (on, _) in found.items():
        if not on and name.startswith("RI_"):
            yield Lie(table, {}, f"the trigger {name} of one of its foreign keys is switched off")


def check_constraints(connection: Connection) -> Iterator[Lie]:
    """Keys and CHECKs that are missing, or that nobody has held the records against."""
    found = {(table, name): valid for table, name, valid in stream(connection, CONSTRAINTS)}
    for table in Base.metadata.sorted_tables:
        for constraint in sorted(str(each.name) for each in table.constraints):
            valid = found.get((table.name, constraint))
            if not valid:
                fault = "missing" if valid is None else "not validated"
                yield Lie(table.name, {}, f"its constraint {constraint} is {fault}")


def _statements(table: str) -> list[str]:
    columns = [column.name for column in Base.metadata.tables[table].columns]
    statements = trigger_statements(table, columns) if table in MUTABLE else []
    return statements + (seal_statements(Base.metadata.tables[table]) if table in SEALED else [])


def _check_function(table: str, statement: str, bodies: dict[str, str]) -> Iterator[Lie]:
    function = _FUNCTION.match(statement)
    if function is not None and bodies.get(function[1], "").split() != function[2].split():
        yield Lie(table, {}, f"the function {function[1]} of its triggers is {_other(bodies.get(function[1]))}")


def _other(body: str | None) -> str:
    return "missing" if body is None else "another"


def _plain(definition: str) -> str:
    return _SPELLING.sub("", definition).lower()
