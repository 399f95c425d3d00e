"""The benchmark's side of a measurement: a system in one database, and its worker processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, LiteralString, Self

import psycopg

from benchmarks.peers.worker import READY, Options
from rebase_db import settings

if TYPE_CHECKING:
    from types import TracebackType

    from benchmarks.peers.server import Server

SHOW_ERRORS = "REBASE_BENCHMARK_ERRORS"
PATIENCE_SECONDS = 120.0


class System(ABC):
    """A job queue in one database, from the side of who puts jobs into it.

    Attributes:
        name: Its name.
        module: What a worker process runs, see `benchmarks.peers.worker`.
        tables: The tables its jobs and their history are in.
        url: The database.
        connection: A connection to it, in autocommit mode.
    """

    name: ClassVar[str]
    module: ClassVar[str]
    tables: ClassVar[tuple[str, ...]]

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg.connect(url, autocommit=True)

    @abstractmethod
    def install(self) -> None:
        """Make its tables."""

    @abstractmethod
    def enqueue(self, count: int) -> None:
        """Put in jobs, committed."""

    @abstractmethod
    def unfinished(self) -> int:
        """Jobs that are neither done nor given up."""

    def number(self, query: LiteralString) -> int:
        """The one number a query gives."""
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()


def start_worker(module: str, options: Options) -> subprocess.Popen[str]:
    """A worker process, whose standard input and output are pipes; errors only if `SHOW_ERRORS` is set."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *options.arguments()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if SHOW_ERRORS in os.environ else subprocess.DEVNULL,
        text=True,
        env=os.environ | {settings.LEASE_SECONDS: str(options.lease)},
    )


class Crew:
    """Some workers of one system, ended with the context whatever happens."""

    def __init__(self, system: System, options: Options, count: int) -> None:
        self.processes = [start_worker(system.module, options) for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.communicate()

    def heard(self, process: subprocess.Popen[str]) -> str:
        """The next line a worker prints; RuntimeError when it ended instead, or said nothing for long."""
        watch = threading.Timer(PATIENCE_SECONDS, process.kill)
        watch.start()
        line = process.stdout.readline() if process.stdout else ""
        watch.cancel()
        if not line:
            raise RuntimeError(f"A worker ended with {process.wait()}; {SHOW_ERRORS}=1 in the environment shows why.")
        return line.strip()

    def drain(self, server: Server) -> Drained:
        """Have workers in mode `drain` begin together; what it took until the last was done."""
        for process in self.processes:
            if self.heard(process) != READY:
                raise RuntimeError("a worker began with something else than that it is ready")
        used = server.cpu_seconds()
        for process in self.processes:
            if process.stdin:
                process.stdin.write("\n")
                process.stdin.flush()
        reports = [json.loads(self.heard(process)) for process in self.processes]
        for process in self.processes:
            process.wait()
        return Drained(
            seconds=max(report["ended"] for report in reports) - min(report["began"] for report in reports),
            client_cpu=sum(report["cpu"] for report in reports),
            server_cpu=server.cpu_seconds() - used,
        )


@dataclass(frozen=True, slots=True)
class Drained:
    """What draining took, in seconds."""

    seconds: float
    client_cpu: float
    server_cpu: float
