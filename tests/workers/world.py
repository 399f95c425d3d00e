"""The pipeline tests' world with its work asked for, and worker processes that do it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from tests.pipeline.conftest import ROOT, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

PATIENCE_SECONDS = 90
OTHERS = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        threading.Event().wait(0.02)


@dataclass
class WorkerProcess:
    """A `rebase` process, and what it said on stderr so far."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def end(self) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        return self.process.wait(PATIENCE_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        """Tell it to stop, which must be its end in order."""
        self.signal(signal.SIGTERM)
        assert self.end() == 0, self.said()


@dataclass(frozen=True)
class Workshop(World):
    """A world, its engine, and its worker processes, which end with it."""

    engine: Engine
    workers: list[WorkerProcess] = field(default_factory=list)

    def work(self, *arguments: str, fault: str = "", **environment: str) -> WorkerProcess:
        """Start `rebase work`."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as handle:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "work", *arguments],
                env=self.environment(fault) | environment,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                cwd=ROOT,
            )
        self.workers.append(WorkerProcess(process, log))
        return self.workers[-1]

    def query(self, statement: str, **values: Any) -> list[Any]:
        """Rows of a statement, which is committed; of single columns their values."""
        with self.engine.begin() as connection:
            found = connection.execute(text(statement), values)
            if not found.returns_rows:
                return []
            rows = found.all()
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]

    def end_all(self) -> None:
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.signal(signal.SIGCONT)
            worker.process.kill()
            worker.process.wait()
        self.engine.dispose()


@contextmanager
def opened(workshop: Workshop) -> Iterator[Workshop]:
    """The workshop, with nothing left of it at the end."""
    try:
        yield workshop
    finally:
        workshop.end_all()
