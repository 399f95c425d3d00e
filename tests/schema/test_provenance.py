"""History cannot be rewritten: the triggers on every provenance table, found by the catalog."""

# ruff: noqa: S608 - the names are ours

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import column, delete, table, text, update
from sqlalchemy.exc import IntegrityError

from rebase_db.schema import Base
from rebase_db.schema.provenance import ERASABLE, MUTABLE, ONCE
from rebase_db.schema.seal import SEALED, seal_expression

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Executable, Update

    from tests.schema.chain import Row

WORKING_STATE = {"row_score"}
"""The tables whose rows are no provenance; what is not here must be guarded."""


def columns(connection: Connection, name: str) -> dict[str, bool]:
    """The columns of a table as the database has them, and whether each is an identity."""
    query = (
        "SELECT attname, attidentity <> '' FROM pg_attribute"
        " WHERE attrelid = CAST(:name AS regclass) AND attnum > 0 AND NOT attisdropped"
    )
    return dict(connection.execute(text(query), {"name": name}).all())


def set_again(name: str, columns: Mapping[str, bool]) -> Update:
    """An UPDATE of all rows that sets columns to what they are, but identities, which Postgres lets only be renewed."""
    same = {name: text("DEFAULT") if identity else column(name) for name, identity in columns.items()}
    return update(table(name, *map(column, columns))).values(same)


def refusal(connection: Connection, statement: Executable) -> str:
    """What the database says when it refuses a statement."""
    with pytest.raises(IntegrityError) as caught, connection.begin_nested():
        connection.execute(statement)
    return str(caught.value.orig)


def test_every_table_is_provenance_or_said_to_be_working_state(connection: Connection, chain: dict[str, Row]) -> None:
    stored = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
    assert set(stored) - {"alembic_version"} == set(MUTABLE) | WORKING_STATE == set(chain) == set(Base.metadata.tables)
    assert not set(MUTABLE) & WORKING_STATE


@pytest.mark.parametrize("name", MUTABLE)
def test_guarded_columns_cannot_be_updated(connection: Connection, name: str) -> None:
    later = {*MUTABLE[name], *ONCE.get(name, ()), *ERASABLE.get(name, ())} | (
        {"erased_by"} if name in ERASABLE else set()
    )
    guarded = {found: identity for found, identity in columns(connection, name).items() if found not in later}
    assert guarded
    for found, identity in guarded.items():
        assert f"UPDATE of {name} refused" in refusal(connection, set_again(name, {found: identity})), found


@pytest.mark.parametrize("name", [name for name in MUTABLE if MUTABLE[name]])
def test_other_columns_can_be_updated(connection: Connection, name: str) -> None:
    assert connection.execute(set_again(name, dict.fromkeys(MUTABLE[name], False))).rowcount >= 1


@pytest.mark.parametrize("name", sorted(WORKING_STATE))
def test_working_state_can_be_updated(connection: Connection, name: str) -> None:
    plain = {found: identity for found, identity in columns(connection, name).items() if not identity}
    assert connection.execute(set_again(name, plain)).rowcount == 1


@pytest.mark.parametrize("name", MUTABLE)
def test_rows_cannot_be_removed(connection: Connection, name: str) -> None:
    assert f"DELETE of {name} refused" in refusal(connection, delete(table(name)))
    # CASCADE, because a table that others refer to is not truncated without it; the refusal may name one of those.
    assert "TRUNCATE of " in refusal(connection, text(f"TRUNCATE {name} CASCADE"))


@pytest.mark.parametrize("name", MUTABLE)
def test_each_table_has_all_its_triggers_and_they_are_enabled(connection: Connection, name: str) -> None:
    query = (
        "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = CAST(:name AS regclass) AND NOT tgisinternal"
        " AND tgname NOT LIKE '%\\_wake' ORDER BY tgname"
    )
    wanted = {"no_delete", "no_truncate", "no_update"}
    wanted |= {"once"} if name in ONCE else set()
    wanted |= {"erase"} if name in ERASABLE else set()
    wanted |= {"seal"} if name in SEALED else set()
    found = connection.execute(text(query), {"name": name}).all()
    assert found == [(f"{name}_{what}", "O") for what in sorted(wanted)]


OTHER = {
    "ingest": "cells_added = 7, finished_at = clock_timestamp()",
    "ingest_split": "rows_unchanged = 7, finished_at = clock_timestamp()",
    "retrieval": "rows_scored = 2",
    "training_run": "artifact_path = 'elsewhere'",
    "dataset": "licence = 'Apache-2.0'",
    "reservation": "presumed = true, settled_at = clock_timestamp(), spent_tokens = 1",
    "retraction": "undone_at = clock_timestamp(), undo_reason = 'so'",
}


OPEN = {"ingest", "ingest_split", "reservation", "retraction"}
"""What the lineage has not written yet."""


@pytest.mark.parametrize("name", ONCE)
def test_what_is_written_once_is_not_written_again(connection: Connection, name: str) -> None:
    if name in OPEN:
        assert connection.execute(text(f"UPDATE {name} SET {OTHER[name]}")).rowcount == 1
    assert f"UPDATE of {name} refused" in refusal(connection, text(f"UPDATE {name} SET {OTHER[name]}"))


ERASED = {
    "source_row": "content = '{}'",
    "text": "text = NULL",
    "generation": "raw_answer = NULL",
    "example": "input = '', output = '', rationale = NULL",
    "judgement": "raw_answer = NULL",
    "check_result": "evidence = '{}'",
    "event": "detail = NULL",
    "likely_source": "evidence = '{}'",
}


@pytest.mark.parametrize("name", ERASABLE)
def test_words_go_only_by_an_erasure_and_for_good(connection: Connection, name: str) -> None:
    assert f"UPDATE of {name} refused" in refusal(connection, text(f"UPDATE {name} SET {ERASED[name]}"))
    connection.execute(text(f"UPDATE {name} SET {ERASED[name]}, erased_by = 1"))
    for change in (f"{ERASED[name]}, erased_by = 1", "erased_by = NULL"):
        assert f"UPDATE of {name} refused" in refusal(connection, text(f"UPDATE {name} SET {change}"))


def test_a_vector_goes_only_after_its_text(connection: Connection) -> None:
    assert "its text is not erased" in refusal(connection, delete(table("embedding")))
    connection.execute(text("UPDATE text SET text = NULL, erased_by = 1"))
    assert connection.execute(delete(table("embedding"))).rowcount == 1


@pytest.mark.parametrize("name", SEALED)
def test_a_seal_is_true_from_the_start_and_after_a_change_that_is_allowed(connection: Connection, name: str) -> None:
    broken = text(
        f"SELECT count(*), count(*) FILTER (WHERE seal <> {seal_expression(Base.metadata.tables[name])}) FROM {name}"
    )
    rows, lies = connection.execute(broken).one()
    assert rows
    assert not lies
    change = OTHER[name] if name in OPEN else None
    if name in ERASED:
        change = f"{ERASED[name]}, erased_by = 1"
    if change:
        connection.execute(text(f"UPDATE {name} SET {change}"))
        assert connection.execute(broken).one() == (rows, 0)


def test_a_changed_byte_breaks_a_seal(connection: Connection) -> None:
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    connection.execute(text("UPDATE generation SET latency_seconds = latency_seconds + 1"))
    expression = seal_expression(Base.metadata.tables["generation"])
    assert not connection.execute(text(f"SELECT bool_or(seal = {expression}) FROM generation")).scalar_one()


def test_an_update_through_on_conflict_is_refused_too(connection: Connection) -> None:
    statement = (
        "INSERT INTO task (name, settings) VALUES ('letters', '{}') ON CONFLICT (name) DO UPDATE SET name = 'other'"
    )
    assert "UPDATE of task refused" in refusal(connection, text(statement))
