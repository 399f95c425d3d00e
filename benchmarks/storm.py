"""Workers killed, workers frozen, the server stopped at once, again and again; then every row's effect is counted.

Each row's work is to insert one row into the table `effect`: ours in the transaction that finishes the row, a peer's in
the job's own function, which is the place its users have. While worker processes do that, something breaks about once a
second, at even shares of the rows and in random order:

- kill: a worker gets SIGKILL; as under any supervisor, another one takes its place;
- freeze: a worker gets SIGSTOP and, once its rows have been given to others for long, SIGCONT;
- stop: the server ends like `pg_ctl stop -m immediate` and starts again.

Afterwards a row without an effect is lost or stuck, and a row with two was done twice. Late are results that came when
the row was no longer the worker's and that were refused; the peers have nothing that refuses them.

All systems run at about the same speed, the same number of workers with the same rows in hand, and hold the same rows
for the same time. A peer that is slower is given fewer rows. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from benchmarks.common import server
from benchmarks.peers.pgqueuer import Pgqueuer
from benchmarks.peers.procrastinate import Procrastinate
from benchmarks.peers.rebase import Rebase
from benchmarks.peers.server import Server
from benchmarks.peers.system import Crew, System, start_worker
from benchmarks.peers.worker import Options
from rebase_db.database import migrate
from rebase_db.database.engine import engine_for

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

IN_HAND = 16
"""Rows of a worker at a time."""
FROZEN_LEASES = 2.5
"""How long a frozen worker stays so, in leases: others have noticed, taken its rows and done some of them."""
STARTING_SECONDS = 2.0
"""A process this young is spared while there are others: it has no rows yet."""
TICK_SECONDS = 0.05
# The share of the rows that a system is given, and of the speed it is run at.
SYSTEMS: dict[type[System], float] = {Rebase: 1.0, Pgqueuer: 1.0, Procrastinate: 0.3}


@dataclass(frozen=True, slots=True)
class Plan:
    """One storm.

    Attributes:
        rows: Rows to do.
        pace: Rows a second that all workers together do when nothing breaks.
        workers: Worker processes.
        lease: Seconds of silence after which a worker counts as dead.
        faults: What breaks, in this order: `kill`, `freeze`, `stop`.
        patience: Seconds without a row being finished after which the rest counts as stuck.
    """

    rows: int
    pace: float
    workers: int
    lease: float
    faults: Sequence[str]
    patience: float

    def is_due(self, faults_left: int, rows_left: int) -> bool:
        """Whether it is time for the next fault: they come at even shares of the rows, the last with a tenth to do."""
        return rows_left <= self.rows * (0.1 + 0.85 * faults_left / len(self.faults))


class Storm(Crew):
    """A crew that things happen to."""

    def __init__(self, system: System, options: Options, plan: Plan, on: Server) -> None:
        super().__init__(system, options, plan.workers)
        self.system = system
        self.options = options
        self.plan = plan
        self.server = on
        self.frozen: dict[subprocess.Popen[str], float] = {}
        self.replaced: dict[subprocess.Popen[str], float] = {}

    def blow(self) -> float:
        """Have everything happen, wait until nothing is left to do, and for the last late result; seconds it took."""
        for process in self.processes:
            self.heard(process)
        idle, faults, left = threading.Event(), list(self.plan.faults), self.plan.rows
        began = moved = time.monotonic()
        while left or faults or self.frozen:
            idle.wait(TICK_SECONDS)
            self._look_after()
            if (now_left := self._unfinished()) < left:
                left, moved = now_left, time.monotonic()
            elif time.monotonic() - moved > self.plan.patience:
                break
            if faults and self.plan.is_due(len(faults), left) and len(self.frozen) < len(self.processes) - 1:
                self._break(faults.pop(0))
        took = time.monotonic() - began
        idle.wait(self.options.work * 2 + self.plan.lease)
        return took

    def _look_after(self) -> None:
        """Thaw workers whose time has come, and replace those that ended."""
        now = time.monotonic()
        for process in [process for process, until in self.frozen.items() if now > until]:
            process.send_signal(signal.SIGCONT)
            del self.frozen[process]
        for place, process in enumerate(self.processes):
            if process.poll() is not None:
                process.communicate()
                self.processes[place] = start_worker(self.system.module, self.options)
                self.replaced[self.processes[place]] = now

    def _break(self, fault: str) -> None:
        moving = [process for process in self.processes if process not in self.frozen]
        young = time.monotonic() - STARTING_SECONDS
        at_work = [process for process in moving if self.replaced.get(process, 0) < young]
        victim = random.choice(at_work or moving)  # noqa: S311 - no secret
        match fault:
            case "kill":
                victim.kill()
            case "freeze":
                victim.send_signal(signal.SIGSTOP)
                self.frozen[victim] = time.monotonic() + FROZEN_LEASES * self.plan.lease
            case "stop":
                self.server.crash()
        print(f"  {self.system.name}: {fault}, {self._unfinished():,} to do", file=sys.stderr)

    def _unfinished(self) -> int:
        try:
            return self.system.unfinished()
        except psycopg.OperationalError:  # the server was stopped since
            self.system.connection = psycopg.connect(self.system.url, autocommit=True)
            return self.system.unfinished()


def run(system_class: type[System], plan: Plan) -> str:
    """One system's row of the table, on a server of its own."""
    with server() as url:
        engine = engine_for(url)
        migrate.upgrade(engine)
        system = system_class(url)
        system.install()
        system.connection.execute("CREATE TABLE effect (item bigint NOT NULL)")
        system.connection.execute("CREATE TABLE late (item bigint NOT NULL)")
        system.enqueue(plan.rows)
        options = Options(url, "storm", IN_HAND, plan.workers * IN_HAND / plan.pace, plan.lease)
        with Storm(system, options, plan, Server.of(engine)) as storm:
            took = storm.blow()
        stuck = system.unfinished()
        effects = system.number("SELECT count(*) FROM effect")
        done = system.number("SELECT count(DISTINCT item) FROM effect")
        late = system.number("SELECT count(*) FROM late")
        system.close()
        engine.dispose()
    counts = " | ".join(str(plan.faults.count(fault)) for fault in ("kill", "freeze", "stop"))
    refused = f"{late:,}" if system_class is Rebase else "none can be"
    return (
        f"| {system_class.name} | {plan.rows:,} | {took:.0f} | {counts} | {plan.rows - done:,} | {stuck:,} "
        f"| {effects - done:,} | {refused} |"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--pace", type=float, default=200.0, help="rows a second when nothing breaks")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--lease", type=float, default=2.0, help="seconds")
    parser.add_argument("--kills", type=int, default=22)
    parser.add_argument("--freezes", type=int, default=5)
    parser.add_argument("--stops", type=int, default=3)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for the next finished row")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the faults and the choice of victims")
    names = {system.name: system for system in SYSTEMS}
    parser.add_argument("--systems", nargs="+", choices=names, default=list(names))
    parsed = parser.parse_args()
    rows: list[str] = []
    faults = ["kill"] * parsed.kills + ["freeze"] * parsed.freezes + ["stop"] * parsed.stops
    for name in parsed.systems:
        random.seed(parsed.seed)
        order = random.sample(faults, len(faults))
        share = SYSTEMS[names[name]]
        plan = Plan(
            rows=int(parsed.rows * share),
            pace=parsed.pace * share,
            workers=parsed.workers,
            lease=parsed.lease,
            faults=order,
            patience=parsed.patience,
        )
        rows.append(run(names[name], plan))
    print("\n| system | rows | s | kills | freezes | stops | without effect | stuck | done again | late, refused |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
