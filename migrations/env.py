"""Alembic environment: one connection at a time migrates, a migration that cannot get its locks gives up quickly."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from rebase_db.database.engine import open_engine
from rebase_db.database.migrate import LOCK_TIMEOUT, STATEMENT_TIMEOUT
from rebase_db.schema import Base


def run(connection: Connection) -> None:
    """Migrate over `connection` under an advisory lock, each migration in its own transaction."""
    connection.execute(text("SELECT pg_advisory_lock(hashtext('rebase-db migrations'))"))
    connection.execute(text("SELECT set_config('lock_timeout', :value, false)"), {"value": LOCK_TIMEOUT})
    connection.execute(text("SELECT set_config('statement_timeout', :value, false)"), {"value": STATEMENT_TIMEOUT})
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transaction_per_migration=True,
            compare_server_default=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("RESET lock_timeout"))
        connection.execute(text("RESET statement_timeout"))
        connection.execute(text("SELECT pg_advisory_unlock(hashtext('rebase-db migrations'))"))
        connection.commit()


if context.is_offline_mode():
    message = "Offline migrations are not supported: run `rebase db upgrade` against a server."
    raise SystemExit(message)

given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:  # the `alembic` command, for developers
    with open_engine(check_schema=False).connect() as opened:
        run(opened)
