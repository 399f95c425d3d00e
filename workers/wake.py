"""Waking idle workers: LISTEN where it works, and polling in any case."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from rebase_db.database.listen import CONNECTION_LOST, listen
from rebase_db.schema.hot import WAKE_CHANNEL

if TYPE_CHECKING:
    from sqlalchemy import Engine

POLL_SECONDS = 5.0
"""How often to look for work that no notification told of: rows whose retry time has come, a notification lost with
its connection."""
RECONNECT_SECONDS = 2.0


class Wake:
    """One listener for all slots of a process.

    A notification is a hint: it may be lost or come for work that somebody else took. After (re)connecting, everybody
    is woken once, for what was added in between.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closing = threading.Event()
        self._woken = threading.Condition()
        self._times = 0
        self._thread = threading.Thread(target=self._listen, name="rebase-listen", daemon=True)
        self._thread.start()

    @property
    def times(self) -> int:
        """How often there was a reason to wake; read before looking for work, so that none is slept through."""
        return self._times

    def wait(self, seen: int, seconds: float | None = None) -> None:
        """Sleep until there has been a reason to wake since `times` was `seen`, or for about `seconds`.

        The time is a fifth shorter or longer at random, so that workers that went idle together do not poll together.
        """
        seconds = (POLL_SECONDS if seconds is None else seconds) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        with self._woken:
            self._woken.wait_for(lambda: self._times != seen, timeout=seconds)

    def wake(self) -> None:
        """Wake everybody."""
        with self._woken:
            self._times += 1
            self._woken.notify_all()

    def _listen(self) -> None:
        while not self._closing.is_set():
            with suppress(*CONNECTION_LOST):
                for _ in listen(self._engine, WAKE_CHANNEL, self._closing.is_set):
                    self.wake()
            self._closing.wait(RECONNECT_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - no secret

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        self.wake()
        self._thread.join()
