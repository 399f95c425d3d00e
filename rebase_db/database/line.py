"""A connection that one thread keeps for single statements, each a transaction of its own."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine


class Line:
    """Spares the claims of small batches the check-out, the check whether the connection lives, BEGIN and COMMIT.

    A connection that broke shows only with the next statement, which then fails; the one after it has a new connection.
    Used from two threads at once, the second gets a connection of its own from the pool.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._using = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def open(self) -> Iterator[Connection]:
        """The connection, for a statement or two."""
        if not self._using.acquire(blocking=False):
            with self._engine.connect() as connection:
                yield connection
            return
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            yield self._connection
        except BaseException:
            self._drop()
            raise
        finally:
            self._using.release()

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Give the connection back."""
        with self._using:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
