"""A worker's life as the database sees it: its row, its heartbeat, and the lock that ends with its connection."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from rebase_db import __version__, settings
from rebase_db.database.copy import driver
from rebase_db.rescue import LIVENESS_LOCK
from rebase_db.schema import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from sqlalchemy import Connection, Engine

log = logging.getLogger(__name__)

BEATS_A_LEASE = 4
TICK_SECONDS = 0.5
"""How soon a lost connection is noticed: without its lock, a worker's rows go to whoever looks for some."""


class Lease:
    """Registers this process as a worker and keeps it alive from a thread until closed.

    The thread has a connection of its own, which holds an advisory lock for as long as it lives (see
    `rebase_db.rescue`), and comes back with a new one when the server restarts. A stage that computes for hours
    needs no code for this: the beat does not depend on it.

    Args:
        engine: The database.
        stages: What this worker was told to do; None for a command that does its own work only.
        concurrency: The batches it has in hand at most.
        on_beat: Called with each beat, over the beat's connection, in its thread.

    Raises:
        RebaseError: The environment's length of a lease is none.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        stages: Sequence[str] | None = None,
        concurrency: int = 1,
        on_beat: Callable[[Connection], None] | None = None,
    ) -> None:
        self._interval = settings.lease_seconds() / BEATS_A_LEASE
        self._engine = engine
        self._on_beat = on_beat
        self._closing = threading.Event()
        with engine.begin() as connection:
            self.worker_id: int = connection.execute(
                insert(Worker)
                .values(
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    code_version=__version__,
                    stages=None if stages is None else list(stages),
                    concurrency=concurrency,
                )
                .returning(Worker.worker_id)
            ).scalar_one()
        self._connection: Connection | None = None
        self._locked = False
        self._beat_once()
        self._thread = threading.Thread(target=self._beat, name="rebase-heartbeat", daemon=True)
        self._thread.start()

    def _beat_once(self) -> None:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not self._locked:
            # Not waiting for it: a lost connection of ours may hold it until the server notices the loss.
            self._locked = self._connection.execute(
                select(func.pg_try_advisory_lock(LIVENESS_LOCK, self.worker_id))
            ).scalar_one()
        self._connection.execute(
            update(Worker).where(Worker.worker_id == self.worker_id).values(heartbeat_at=func.clock_timestamp())
        )
        if self._on_beat is not None:
            self._on_beat(self._connection)

    def _beat(self) -> None:
        due = time.monotonic() + self._interval
        while not self._closing.wait(min(self._interval, TICK_SECONDS)):
            try:
                if time.monotonic() < due and self._locked and not self._has_news():
                    continue
                self._beat_once()
                due = time.monotonic() + self._interval
            except SQLAlchemyError:
                # The server is away; the next tick tries a new connection. The fence covers what happens meanwhile.
                self._drop_connection()
            except Exception:
                log.exception("A heartbeat failed.")  # and the thread must live for the next
                self._drop_connection()

    def _has_news(self) -> bool:
        """Whether the server has sent something unasked: mostly that the connection has ended, and the lock with it."""
        if self._connection is None:
            return False
        with selectors.DefaultSelector() as selector:  # select(2) itself takes no file descriptor above 1023
            selector.register(driver(self._connection).fileno(), selectors.EVENT_READ)
            return bool(selector.select(0))

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None
            self._locked = False

    def close(self) -> None:
        """Stop beating and give up whatever is still held: it can be claimed by others at once."""
        self._closing.set()
        self._thread.join()
        self._drop_connection()
        with suppress(SQLAlchemyError), self._engine.begin() as connection:
            connection.execute(
                update(Worker).where(Worker.worker_id == self.worker_id).values(stopped_at=func.clock_timestamp())
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
