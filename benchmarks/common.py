"""What the benchmarks share: a database of their own, interleaved timing, a table of ratios, peak memory."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from rebase_db.database import embedded, migrate
from rebase_db.database.engine import engine_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Engine


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("REBASE_TEST_DATA"),
        help="folder of real data (or REBASE_TEST_DATA)",
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side, interleaved")
    return parser


def data_folder(parsed: argparse.Namespace) -> Path:
    """The folder of real data, or the end of the program."""
    if parsed.data is None or not parsed.data.is_dir():
        sys.exit("This benchmark needs the folder of real data: --data FOLDER, or REBASE_TEST_DATA.")
    return Path(parsed.data)


@contextmanager
def server() -> Iterator[str]:
    """The URL of an embedded server in a temporary folder, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="rebase-benchmark-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)  # started by root, the server runs as another user
        try:
            yield embedded.start(home)
        finally:
            embedded.stop(home)


@contextmanager
def fresh_database(server_url: str, copy_of: Engine | None = None) -> Iterator[Engine]:
    """A migrated database, or a copy of one that nobody is connected to; dropped at the end."""
    name = f"benchmark_{uuid.uuid4().hex[:8]}"
    url = make_url(server_url)
    administration = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with administration.connect() as connection:
        template = "" if copy_of is None else f" TEMPLATE {copy_of.url.database}"
        connection.execute(text(f"CREATE DATABASE {name}{template}"))
    engine = engine_for(url.set(database=name).render_as_string(hide_password=False))
    if copy_of is None:
        migrate.upgrade(engine)
    try:
        yield engine
    finally:
        engine.dispose()
        with administration.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        administration.dispose()


@dataclass
class Timings:
    """Seconds of each side, run by run."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, name: str, run: Callable[[], object]) -> None:
        """Time one run."""
        began = time.perf_counter()
        run()
        self.seconds.setdefault(name, []).append(time.perf_counter() - began)
        print(f"  {name}: {self.seconds[name][-1]:.2f} s", file=sys.stderr)

    def table(self, ours: str, work: str) -> None:
        """Print the medians and, for each peer, how many times longer it took than ours."""
        base = statistics.median(self.seconds[ours])
        print(f"\n| {work} | median s | min..max | times ours |")
        print("|---|---|---|---|")
        for name, seconds in self.seconds.items():
            middle = statistics.median(seconds)
            print(f"| {name} | {middle:.2f} | {min(seconds):.2f}..{max(seconds):.2f} | {middle / base:.2f} |")


def interleaved(sides: Mapping[str, Callable[[], object]], repeats: int) -> Timings:
    """Run the sides in turn, `repeats` times."""
    timings = Timings()
    for _ in range(repeats):
        for name, run in sides.items():
            timings.measure(name, run)
    return timings


def peak_mib() -> float:
    """Peak resident memory of this process so far, in MiB.

    Not getrusage's, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def peak_of(module: str, *options: str) -> float:
    """What `python -m benchmarks.<module> <options>` says its peak memory was, in MiB."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-2])
