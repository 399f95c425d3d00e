"""Transforming beside distilabel and bespokelabs-curator: rows a second from a server whose answers take a fixed time.

Every system sends the same prompts (ours) to the same stub (`benchmarks.peers.stub_llm`), one system at a time and in
turn, each as a process of its own that keeps the same number of requests in flight; the stub counts them. Ours is
`rebase transform` on an embedded server, durable as usual, with all that a user gets: generations, checks, events.

- Answers: rows a second from the first request to the last answer, as the stub saw them. Start and end of the process
  are left out, in the peers' favour: distilabel takes seconds to start its processes. No system can have more than
  requests in flight / latency; the share of that is what it uses of the time.
- Run: rows a second of the whole run. A peer's is the call of its library; ours is from the first row claimed to the
  end of the command, with the checks of all examples.
- Start: from the start of the process to the first request, imports included.
- Database: what our process waited for the database (see `benchmarks.peers.rebase_transform`), and the CPU of the
  server with all its processes, from the start of our process to its end, for each row.

With `--spread` the answers do not all take the same time, as those of a model do not.

The peers have environments of their own, as they want libraries that ours cannot have; one not named is left out:

    python3.11 -m venv DISTILABEL; DISTILABEL/bin/pip install 'distilabel[openai,instructor]==1.5.3'
    python3.11 -m venv CURATOR; CURATOR/bin/pip install bespokelabs-curator==0.1.31
    python -m benchmarks.transform --distilabel DISTILABEL/bin/python --curator CURATOR/bin/python

Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import text

from benchmarks.common import fresh_database, server
from benchmarks.peers.server import Server
from benchmarks.transform_world import World, environment, retrieved, url_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

OURS = "rebase"
SHARE_GATE = 0.95
PEER_GATE = 2.0
DATABASE_GATE_MS = 2.0
SHOW_ERRORS = "REBASE_BENCHMARK_ERRORS"
ROOT = Path(__file__).parents[1]
CLAIMED_AND_TRANSFORMED = """
SELECT extract(EPOCH FROM min(at)), count(*) FILTER (WHERE to_state = 'transformed')
FROM event
WHERE queue = 'retrieval_link'
"""


class Stub:
    """The stub server as a process."""

    def __init__(self, latency: float, spread: float) -> None:
        script = ROOT / "benchmarks" / "peers" / "stub_llm.py"
        self._process = subprocess.Popen(
            [sys.executable, str(script), "--latency", str(latency), "--spread", str(spread)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.base_url = f"http://127.0.0.1:{int(self._line())}/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def seen(self) -> dict[str, Any]:
        """What came in since the last call, see `benchmarks.peers.stub_llm.Seen`."""
        if self._process.stdin:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return dict(json.loads(self._line()))

    def _line(self) -> str:
        return self._process.stdout.readline() if self._process.stdout else ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that did its rows.

    Attributes:
        began: When it was started, in seconds of a clock that all processes share.
        report: The last line it printed.
    """

    began: float
    report: dict[str, Any]


def finish(command: Sequence[str], told: dict[str, str]) -> Ended:
    """Run a process to its end; its errors are shown only if `SHOW_ERRORS` is set."""
    began = time.monotonic()
    errors = None if SHOW_ERRORS in os.environ else subprocess.DEVNULL
    done = subprocess.run(command, env=told, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}; {SHOW_ERRORS}=1 in the environment shows why.")
    return Ended(began, json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one system.

    Attributes:
        answers: Rows a second by the stub's clock.
        whole: Rows a second by the system's own.
        start: Seconds to the first request.
        most: The most requests in flight.
        stub_ms: The stub's CPU a request, in ms.
        waited_ms: What ours waited for the database, in ms a row.
        server_ms: The database server's CPU, in ms a row.
    """

    answers: float
    whole: float
    start: float
    most: int
    stub_ms: float
    waited_ms: float = 0.0
    server_ms: float = 0.0


def run_of(stub: Stub, name: str, rows: int, ended: Ended, whole_seconds: float, answers: int, **more: float) -> Run:
    """A run by what the stub saw of it; the end of the program if it left something undone."""
    seen = stub.seen()
    if (seen["rows"], seen["requests"], answers) != (rows, rows, rows):
        sys.exit(f"{name} has {answers} answers, from {seen['requests']} requests for {seen['rows']} of {rows} rows")
    return Run(
        answers=rows / (seen["last"] - seen["first"]),
        whole=rows / whole_seconds,
        start=seen["first"] - ended.began,
        most=seen["most"],
        stub_ms=1000 * seen["cpu"] / rows,
        **more,
    )


def run_ours(stub: Stub, server_url: str, original: Engine, world: World, in_flight: int) -> Run:
    """Transform a task's rows in a copy of the database."""
    rows = world.rows[in_flight]
    on = Server.of(original)
    original.dispose()  # who copies a database must be alone with it
    with fresh_database(server_url, original) as engine:
        command = [sys.executable, "-m", "benchmarks.peers.rebase_transform", world.task(in_flight)]
        used = on.cpu_seconds()
        ended = finish(command, environment(url_of(engine), world.folder))
        used = on.cpu_seconds() - used
        with engine.connect() as connection:
            claimed, transformed = connection.execute(text(CLAIMED_AND_TRANSFORMED)).one()
    return run_of(
        stub,
        OURS,
        rows,
        ended,
        ended.report["ended"] - float(claimed),
        transformed,
        waited_ms=1000 * ended.report["seconds"] / rows,
        server_ms=1000 * used / rows,
    )


def run_peer(stub: Stub, name: str, python: Path, world: World, in_flight: int) -> Run:
    """Have a peer answer a task's prompts, without any cache of an earlier run."""
    prompts = str(world.prompts(in_flight))
    with tempfile.TemporaryDirectory() as home:
        command = [str(python), "-m", f"benchmarks.peers.{name}", prompts, stub.base_url, str(in_flight)]
        told = os.environ | {"HOME": home, "HF_HOME": home, "HF_HUB_OFFLINE": "1"}
        ended = finish(command, told)
    return run_of(stub, name, world.rows[in_flight], ended, ended.report["seconds"], ended.report["answers"])


@dataclass
class Results:
    """Every run, by system and requests in flight."""

    latency: float
    runs: dict[tuple[str, int], list[Run]] = field(default_factory=dict)

    def add(self, name: str, in_flight: int, run: Run) -> None:
        """Take note of a run."""
        self.runs.setdefault((name, in_flight), []).append(run)
        print(f"  {name}, {in_flight} in flight: {run.answers:,.1f} rows/s", file=sys.stderr)

    def median(self, name: str, in_flight: int, value: str) -> float:
        """The median of a value of a side."""
        return float(statistics.median(getattr(run, value) for run in self.runs[name, in_flight]))

    def table(self) -> None:
        """Print medians and ranges."""
        print(
            "\n| side | in flight | most seen | rows/s: answers | min..max | of the possible | rows/s: run | start s |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for (name, in_flight), runs in sorted(self.runs.items(), key=lambda item: item[0][1]):
            answers = [run.answers for run in runs]
            middle = statistics.median(answers)
            print(
                f"| {name} | {in_flight} | {max(run.most for run in runs)} | {middle:,.1f} "
                f"| {min(answers):,.1f}..{max(answers):,.1f} | {100 * middle * self.latency / in_flight:.1f} % "
                f"| {self.median(name, in_flight, 'whole'):,.1f} | {self.median(name, in_flight, 'start'):.1f} |"
            )
        stub_ms = statistics.median(run.stub_ms for runs in self.runs.values() for run in runs)
        print(f"\nThe stub's CPU: {stub_ms:.3f} ms a request (median of all runs)")

    def gates(self) -> None:
        """Print ours beside what it should be."""
        print("\n| in flight | gate | ours | met |")
        print("|---|---|---|---|")

        def line(in_flight: int, gate: str, ours: str, met: bool) -> None:
            print(f"| {in_flight} | {gate} | {ours} | {'yes' if met else 'no'} |")

        for in_flight in sorted({in_flight for name, in_flight in self.runs if name == OURS}):
            share = self.median(OURS, in_flight, "answers") * self.latency / in_flight
            line(
                in_flight, f">= {100 * SHARE_GATE:g} % of what is possible", f"{100 * share:.1f} %", share >= SHARE_GATE
            )
            for peer in sorted({name for name, count in self.runs if name != OURS and count == in_flight}):
                for value, word in (("answers", "answers"), ("whole", "run")):
                    times = self.median(OURS, in_flight, value) / self.median(peer, in_flight, value)
                    line(in_flight, f">= {PEER_GATE:g} times {peer}, {word}", f"{times:.2f}", times >= PEER_GATE)
            waited = self.median(OURS, in_flight, "waited_ms")
            ours = f"{waited:.2f} ms; CPU {self.median(OURS, in_flight, 'server_ms'):.2f} ms"
            line(in_flight, f"database < {DATABASE_GATE_MS:g} ms a row", ours, waited < DATABASE_GATE_MS)


def measure(parsed: argparse.Namespace, stub: Stub, world: World, results: Results) -> None:
    """Run every side, interleaved."""
    with ExitStack() as stack:
        sides: dict[str, Callable[[int], Run]] = {}
        if not parsed.without_ours:
            url = stack.enter_context(server())
            original = stack.enter_context(retrieved(url, world))
            sides[OURS] = partial(run_ours, stub, url, original, world)
        for name, python in (("distilabel", parsed.distilabel), ("curator", parsed.curator)):
            if python is not None:
                sides[name] = partial(run_peer, stub, name, python, world)
        for _ in range(parsed.repeats):
            for in_flight in world.rows:
                for name, run in sides.items():
                    stub.seen()
                    results.add(name, in_flight, run(in_flight))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side, interleaved")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[16, 64, 256], help="numbers of requests in flight")
    parser.add_argument("--waves", type=int, default=24, help="rows of a run, as a multiple of those in flight")
    parser.add_argument("--latency", type=float, default=1.0, help="seconds an answer takes")
    parser.add_argument("--spread", type=float, default=0.0, help="share by which it may be longer or shorter")
    parser.add_argument("--distilabel", type=Path, help="the Python of distilabel's environment")
    parser.add_argument("--curator", type=Path, help="the Python of curator's environment")
    parser.add_argument("--without-ours", action="store_true", help="only the peers")
    parsed = parser.parse_args()
    results = Results(parsed.latency)
    with tempfile.TemporaryDirectory() as folder, Stub(parsed.latency, parsed.spread) as stub:
        world = World(Path(folder), {count: count * parsed.waves for count in parsed.in_flight})
        world.write(stub.base_url)
        measure(parsed, stub, world, results)
    results.table()
    results.gates()


if __name__ == "__main__":
    main()
