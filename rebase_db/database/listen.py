"""LISTEN: hearing of work without asking for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from sqlalchemy.exc import SQLAlchemyError

from rebase_db.database.copy import driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

CONNECTION_LOST = (SQLAlchemyError, psycopg.Error)
_TICK_SECONDS = 0.5


def listen(engine: Engine, channel: str, closing: Callable[[], bool]) -> Iterator[None]:
    """One item once it listens, and one for each notification, until `closing`.

    Raises:
        One of `CONNECTION_LOST`.
    """
    # Autocommit: a listener inside a transaction would hold up the queue of notifications.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        listener = driver(connection)
        listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        try:
            yield
            while not closing():
                for _ in listener.notifies(timeout=_TICK_SECONDS, stop_after=1):
                    yield
        finally:
            connection.invalidate()  # back in the pool it would go on listening
