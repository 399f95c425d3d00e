"""Our job runner beside procrastinate and pgqueuer: throughput, CPU, wake-up time; and what use does to our tables.

Every system does jobs that do nothing, in worker processes, on one embedded server, one system at a time and in turn.
Ours writes an event for every move and matches every claim's fence when it finishes rows, as it always does.

- Throughput: rows a second from the first worker's start to the last one's end, everything queued before.
- CPU: of the workers and of the server with all its processes, for each row.
- Wake-up: from the return of the call that enqueues to the start of the job in an idle worker.
- Claim under a snapshot, and `--churn`: see `benchmarks.queue_upkeep`.

Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import text

from benchmarks.common import fresh_database, server
from benchmarks.peers.pgqueuer import Pgqueuer
from benchmarks.peers.procrastinate import Procrastinate
from benchmarks.peers.rebase import Rebase
from benchmarks.peers.server import Server
from benchmarks.peers.system import Crew, Drained, System
from benchmarks.peers.worker import Options
from benchmarks.queue_upkeep import churn, claim_under_snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

LEASE_SECONDS = 60.0
SYSTEMS: tuple[type[System], ...] = (Rebase, Pgqueuer, Procrastinate)


@dataclass(frozen=True, slots=True)
class Side:
    """A system with a batch size.

    Attributes:
        system: The system.
        batch: Rows a claim; for procrastinate, which has no batches, jobs at the same time.
        rows: Rows a worker, so many that a worker's start and end (about 0.1 s, counted in) do not matter.
    """

    system: type[System]
    batch: int
    rows: int

    @property
    def name(self) -> str:
        """What the tables call it."""
        return f"{self.system.name} {self.batch}"


SIDES = (
    Side(Rebase, 1, 1_000),
    Side(Rebase, 16, 10_000),
    Side(Rebase, 256, 25_000),
    Side(Pgqueuer, 10, 5_000),
    Side(Pgqueuer, 256, 20_000),
    Side(Procrastinate, 1, 500),
    Side(Procrastinate, 10, 600),
)
# Ours, the peer's sides (the fastest of which counts), and how many times faster ours must be.
GATES = (
    ("rebase 256", ("pgqueuer 256",), 2.0),
    ("rebase 16", ("pgqueuer 10",), 2.5),
    ("rebase 256", ("procrastinate 1", "procrastinate 10"), 40.0),
)
WAKE_GATE_MS = 5.0


@dataclass
class Results:
    """Every drain of every side, by its name and the number of workers."""

    rates: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    cpu_ms: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, side: Side, workers: int, rows: int, drained: Drained) -> None:
        """Take note of a drain."""
        key = (side.name, workers)
        self.rates.setdefault(key, []).append(rows / drained.seconds)
        cpu = (1000 * drained.client_cpu / rows, 1000 * drained.server_cpu / rows)
        self.cpu_ms.setdefault(key, []).append(cpu)
        print(f"  {side.name}, {workers} workers: {self.rates[key][-1]:,.0f} rows/s", file=sys.stderr)

    def rate(self, name: str, workers: int) -> float:
        """The median of a side."""
        return statistics.median(self.rates[name, workers])

    def cpu(self, name: str, workers: int) -> float:
        """The median of a side, workers and server together."""
        return statistics.median(sum(parts) for parts in self.cpu_ms[name, workers])

    def table(self) -> None:
        """Print medians and ranges."""
        print("\n| side | workers | rows/s | min..max | CPU ms a row: worker + server |")
        print("|---|---|---|---|---|")
        for (name, workers), rates in self.rates.items():
            client, on_server = (statistics.median(part) for part in zip(*self.cpu_ms[name, workers], strict=True))
            spread = f"{min(rates):,.0f}..{max(rates):,.0f}"
            print(
                f"| {name} | {workers} | {statistics.median(rates):,.0f} | {spread} "
                f"| {client + on_server:.3f} = {client:.3f} + {on_server:.3f} |"
            )

    def gates(self) -> None:
        """Print our ratios to the peers beside what they should be."""
        print("\n| ours | peer | workers | times as fast | gate | met | times less CPU |")
        print("|---|---|---|---|---|---|---|")
        for ours, peers, gate in GATES:
            for workers in sorted({workers for name, workers in self.rates if name == ours}):
                peer = max(peers, key=lambda name: self.rate(name, workers))
                ratio = self.rate(ours, workers) / self.rate(peer, workers)
                less = self.cpu(peer, workers) / self.cpu(ours, workers)
                met = "yes" if ratio >= gate else "no"
                print(f"| {ours} | {peer} | {workers} | {ratio:.2f} | {gate:g} | {met} | {less:.2f} |")


def url_of(engine: Engine) -> str:
    """A database's URL as every driver reads it."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def tidy(engine: Engine, system: System) -> None:
    """Leave every drain tables without dead rows and with statistics, whoever ran before."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"VACUUM (ANALYZE) {', '.join(system.tables)}"))


def throughput(engine: Engine, results: Results, workers: Sequence[int], scale: float) -> None:
    """Drain every side once for each number of workers."""
    systems = {system: system(url_of(engine)) for system in SYSTEMS}
    on = Server.of(engine)
    for system in systems.values():
        system.install()
    for side in SIDES:
        for count in workers:
            system = systems[side.system]
            rows = max(1, int(side.rows * count * scale))
            system.enqueue(rows)
            tidy(engine, system)
            with Crew(system, Options(url_of(engine), "drain", side.batch, 0, LEASE_SECONDS), count) as crew:
                drained = crew.drain(on)
            if left := system.unfinished():
                sys.exit(f"{side.name} left {left} of {rows} rows undone")
            results.add(side, count, rows, drained)
    for system in systems.values():
        system.close()


def wake_ups(engine: Engine, system_class: type[System], samples: int) -> list[float]:
    """Milliseconds from enqueued to begun, with one idle worker; the first, which warms everything up, left out."""
    system = system_class(url_of(engine))
    system.install()
    idle = threading.Event()
    found = []
    with Crew(system, Options(url_of(engine), "wake", 10, 0, LEASE_SECONDS), 1) as crew:
        (worker,) = crew.processes
        crew.heard(worker)
        idle.wait(1)  # ready is not yet listening
        for _ in range(samples + 1):
            while system.unfinished():
                idle.wait(0.01)
            idle.wait(random.uniform(0.05, 0.1))  # noqa: S311 - long enough to be idle, and in step with nobody's poll
            system.enqueue(1)
            committed = time.monotonic_ns()
            found.append((int(crew.heard(worker)) - committed) / 1e6)
    system.close()
    return found[1:]


def wake_table(engine: Engine, samples: int) -> None:
    """Measure and print the wake-ups of all systems."""
    print("\n| wake-up | median ms | p95 | max | gate |")
    print("|---|---|---|---|---|")
    for system in SYSTEMS:
        found = wake_ups(engine, system, samples)
        p95 = statistics.quantiles(found, n=20, method="inclusive")[-1]
        middle = statistics.median(found)
        gate = f"< {WAKE_GATE_MS:g}: {'yes' if middle < WAKE_GATE_MS else 'no'}" if system is Rebase else ""
        print(f"| {system.name} | {middle:.2f} | {p95:.2f} | {max(found):.2f} | {gate} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="drains of each side, interleaved")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of worker processes")
    parser.add_argument("--scale", type=float, default=1.0, help="times the rows of each drain")
    parser.add_argument("--samples", type=int, default=100, help="wake-ups of each system")
    parser.add_argument("--completions", type=int, default=40_000, help="rows finished under the open snapshot")
    parser.add_argument("--churn", action="store_true", help="also a million moves, for the sizes of tables")
    parser.add_argument("--moves", type=int, default=1_000_000, help="the moves of --churn")
    parsed = parser.parse_args()
    results = Results()
    with server() as url:
        for _ in range(parsed.repeats):
            with fresh_database(url) as engine:
                throughput(engine, results, parsed.workers, parsed.scale)
        if parsed.repeats:
            results.table()
            results.gates()
        if parsed.samples:
            with fresh_database(url) as engine:
                wake_table(engine, parsed.samples)
        if parsed.completions:
            with fresh_database(url) as engine:
                claim_under_snapshot(engine, parsed.completions)
        if parsed.churn:
            with fresh_database(url) as engine:
                churn(engine, parsed.moves)


if __name__ == "__main__":
    main()
