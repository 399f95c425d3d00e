"""The server under all systems as a process: its CPU, and its death."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import text

from rebase_db.database import embedded

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Server:
    """The embedded server that an engine is on.

    Attributes:
        cluster: Its data directory.
    """

    cluster: Path

    @classmethod
    def of(cls, engine: Engine) -> Server:
        """Ask the server where it is."""
        with engine.connect() as connection:
            return cls(Path(connection.execute(text("SHOW data_directory")).scalar_one()))

    def cpu_seconds(self) -> float:
        """CPU that it has used since its start: its first process, those that ended, and those that run."""
        first = self._first()
        own = first.cpu_times()
        total = float(own.user + own.system + own.children_user + own.children_system)
        for process in first.children():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def crash(self) -> None:
        """Stop it as `pg_ctl stop -m immediate` does, without writing anything down, and start it again."""
        first = self._first()
        first.send_signal(signal.SIGQUIT)
        # Not `wait`, which would wait for ever where nobody reaps processes whose parent is gone.
        with suppress(psutil.NoSuchProcess):
            while first.status() != psutil.STATUS_ZOMBIE:
                threading.Event().wait(0.02)
        embedded.start(self.cluster.parent)

    def _first(self) -> psutil.Process:
        return psutil.Process(int((self.cluster / "postmaster.pid").read_text().partition("\n")[0]))
