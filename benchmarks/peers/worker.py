"""The worker's side of a measurement: its options, its starting signal, and what it reports.

A worker is a process of its own, `python -m benchmarks.peers.<system> URL MODE`. The modes:

- `drain`: do what is queued, do nothing in each job, and end;
- `wake`: wait for jobs and print the moment of each one's start;
- `storm`: wait for jobs, take a while over each, and write its effect into the table `effect`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READY = "ready"
INSERT_EFFECT = "INSERT INTO effect (item) VALUES "


@dataclass(frozen=True, slots=True)
class Options:
    """What a worker is told.

    Attributes:
        url: The database.
        mode: `drain`, `wake` or `storm`.
        batch: Rows a claim, or jobs in flight where a system has no batches.
        work: Seconds a batch, or a job of those in flight together, takes in a storm.
        lease: Seconds of silence after which a worker counts as dead, in a storm.
    """

    url: str
    mode: str
    batch: int
    work: float
    lease: float

    def arguments(self) -> list[str]:
        """These options on a command line."""
        return [self.url, self.mode, str(self.batch), str(self.work), str(self.lease)]


def parse() -> Options:
    """The options this process was started with."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("mode", choices=["drain", "wake", "storm"])
    parser.add_argument("batch", type=int)
    parser.add_argument("work", type=float)
    parser.add_argument("lease", type=float)
    return Options(**vars(parser.parse_args()))


def ready() -> None:
    """Say that everything is imported."""
    print(READY, flush=True)


@contextmanager
def measured() -> Iterator[Callable[[], None]]:
    """Say that this is ready, wait for the signal, and report time and CPU of what follows.

    It ends with the context, or with the last call of what it gives.
    """
    ends: list[tuple[float, float]] = []

    def now() -> None:
        ends.append((time.monotonic(), time.process_time()))

    ready()
    sys.stdin.readline()
    began, cpu = time.monotonic(), time.process_time()
    yield now
    if not ends:
        now()
    ended, used = ends[-1]
    print(json.dumps({"began": began, "ended": ended, "cpu": used - cpu}), flush=True)


def report_start() -> None:
    """Print the moment, of a clock that all processes share."""
    print(time.monotonic_ns(), flush=True)
