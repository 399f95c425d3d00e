"""Claimable tables: storage for rows that change state, and the trigger that wakes idle workers when rows are added."""

from __future__ import annotations

from sqlalchemy import Table, event
from sqlalchemy.schema import DDL

from rebase_db.schema.base import Base, after_create

WAKE_CHANNEL = "rebase_work"
"""What workers LISTEN to; the payload is the table's name."""

WAKE_FUNCTION = f"""\
CREATE FUNCTION wake_workers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{WAKE_CHANNEL}', TG_TABLE_NAME);
    RETURN NULL;
END $$"""

STORAGE = {
    # Room on each page for the next version of a row.
    "fillfactor": 70,
    # By the number of dead rows, not by a share of a table that only grows.
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 5000,
    "autovacuum_analyze_scale_factor": 0,
    "autovacuum_analyze_threshold": 20000,
    "autovacuum_vacuum_cost_delay": 0,
}


def storage_statement(table: str) -> str:
    """The ALTER TABLE for a hot table."""
    return f"ALTER TABLE {table} SET ({', '.join(f'{name} = {value}' for name, value in STORAGE.items())})"


def wake_statement(table: str) -> str:
    """The CREATE TRIGGER for a claimable table.

    Once a statement, however many rows it adds: commits that notify take turns, so they must stay rare.
    """
    return f"CREATE TRIGGER {table}_wake AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION wake_workers()"


def attach(*claimable: str) -> None:
    """Hang function, storage and triggers on the metadata, so that a schema created from it has them too."""
    event.listen(Base.metadata, "before_create", DDL(WAKE_FUNCTION))  # type: ignore[no-untyped-call]
    for name in claimable:
        table: Table = Base.metadata.tables[name]
        after_create(table, storage_statement(name))
        after_create(table, wake_statement(name))
