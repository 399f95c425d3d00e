"""How long an auditor waits: `why`, `trace` and `impact` on a generated database, and what of it they read.

The database has a million examples, ten million cells and fifty runs unless `--examples` says otherwise; a largest
dataset with 23 % of the rows, half of the calls by one teacher, sets of 19,000. Questions are asked about random
records, as the commands ask them, over one connection and over a new one each time. Afterwards the server says which
tables it read from end to end for them: for `why` and `trace` that may be none of the large ones.

    python -m benchmarks.lineage --examples 1000000
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import text

from benchmarks.common import fresh_database, server
from benchmarks.lineage_database import fill
from rebase_db.database.engine import engine_for
from rebase_db.lineage.impact import impact
from rebase_db.lineage.scope import scope_of
from rebase_db.lineage.trace import trace
from rebase_db.lineage.why import why
from rebase_db.reference import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.lineage.impact import Impact

LARGE = (
    "cell", "check_result", "example", "generation", "judgement", "retrieval_link", "source_row", "text",
    "training_set_member",
)  # fmt: skip
"""Tables that grow with the corpus or with the work."""
IMPACTS = {
    "of the largest dataset": "dataset:dataset-1",
    "of the licence with the most rows": "licence:MIT",
    "of the teacher of half of the calls": "teacher:1",
    "of the prompt of a quarter of them": "prompt:1",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its name, and about which records it is asked."""

    name: str
    ask: Callable[[Connection, str], object]
    about: list[str]


def questions(connection: Connection, asked: int, seed: int) -> list[Question]:
    """`why` and `trace`, each about as many random records."""
    chance = random.Random(seed)  # noqa: S311 - which records, not whose secret
    examples, rows, runs = (
        connection.execute(text(query)).scalar_one()
        for query in ("SELECT max(example_id) FROM example", "SELECT max(last_row_id) FROM dataset",
                      "SELECT max(training_run_id) FROM training_run")
    )  # fmt: skip

    def of(kind: str, most: int) -> list[str]:
        return [f"{kind}:{chance.randint(1, most)}" for _ in range(asked)]

    # Rows that something came of: of the others there is nothing to wait for.
    retrieved = connection.execute(
        text(
            "SELECT found.reference FROM lineage.describe('row', ARRAY("
            "SELECT dataset_id || '/' || row_id FROM retrieval_link WHERE link_id = ANY(:links))) AS found"
        ),
        {"links": [chance.randint(1, examples) for _ in range(asked)]},
    ).scalars()
    any_row = [f"row:dataset-2:default/train:{chance.randrange(rows // 3)}" for _ in range(asked)]
    return [
        Question("why", lambda connection, of: why(connection, int(of.partition(":")[2])), of("example", examples)),
        Question("trace, example up", _trace("up"), of("example", examples)),
        Question("trace, example down", _trace("down"), of("example", examples)),
        Question("trace, retrieved row down", _trace("down"), list(retrieved)),
        Question("trace, any row down", _trace("down"), any_row),
        Question("trace, run up", _trace("up"), of("run", runs)),
    ]


def _trace(direction: str) -> Callable[[Connection, str], object]:
    return lambda connection, of: trace(connection, find(connection, of), [direction])


def timed(ask: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


def count_anew(connection: Connection) -> None:
    """Begin a transaction for `read_whole`: what a session read in those before may be counted with it otherwise."""
    connection.execute(text("SELECT pg_stat_force_next_flush()"))
    connection.commit()


def read_whole(connection: Connection) -> dict[str, int]:
    """The large tables that the transaction has read from end to end, and how often."""
    found = connection.execute(
        text("SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE seq_scan > 0 AND relname = ANY(:large)"),
        {"large": list(LARGE)},
    )
    return dict(found.all())


def used(connection: Connection) -> float:
    """Processor time in milliseconds: of this process, of the server's for the connection, of parallel ones that ended.

    Other than the time that passes, it hardly depends on what else the machine is doing.
    """
    backend = psutil.Process(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
    server = backend.parent()
    ended = server.cpu_times() if server else None
    own, there = psutil.Process().cpu_times(), backend.cpu_times()
    seconds = own.user + own.system + there.user + there.system
    return 1000 * (seconds + (ended.children_user + ended.children_system if ended else 0))


@dataclass(frozen=True, slots=True)
class Answer:
    """How long a question took, over one connection and over new ones, and its processor time; in milliseconds."""

    name: str
    one: list[float]
    new: list[float]
    cpu: float


def ask_all(engine: Engine, asked: int, seed: int) -> list[Answer]:
    """Each question's times.

    Raises:
        AssertionError: One of them read a large table from end to end.
    """
    with engine.connect() as connection:
        to_ask = questions(connection, asked, seed)
    answers = []
    for question in to_ask:
        one, cpu = _over_one(engine, question)
        answers.append(Answer(question.name, one, _over_new_ones(engine, question), cpu))
    return answers


def _over_one(engine: Engine, question: Question) -> tuple[list[float], float]:
    with engine.connect() as connection:
        count_anew(connection)
        before = used(connection)
        times = [timed(partial(question.ask, connection, about)) for about in question.about]
        cpu = (used(connection) - before) / len(times)
        whole = read_whole(connection)
    if whole:
        raise AssertionError(f"{question.name} reads tables from end to end: {whole}")
    return times, cpu


def _over_new_ones(engine: Engine, question: Question) -> list[float]:
    times = []
    for about in question.about[: max(len(question.about) // 3, 1)]:
        with _new_connection(engine) as connection:
            times.append(timed(partial(question.ask, connection, about)))
    return times


@contextmanager
def _new_connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        yield connection
        connection.invalidate()


def ask_impacts(engine: Engine, repeats: int) -> list[tuple[str, list[float], float, Impact]]:
    """Each impact's times, its processor time, and what was counted."""
    answers = []
    for name, reference in IMPACTS.items():
        with engine.connect() as connection:
            scope = scope_of(connection, find(connection, reference))
            found = impact(connection, scope)  # reads from disk what is not in memory yet
            before = used(connection)
            took = [timed(partial(impact, connection, scope)) for _ in range(repeats)]
            answers.append((name, took, (used(connection) - before) / repeats, found))
    return answers


def percentile(times: Sequence[float], share: float) -> float:
    """The time that this share of them does not exceed."""
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]


def report(engine: Engine, asked: int, repeats: int, seed: int) -> None:
    """Ask, and print two tables."""
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    print(
        "\n| question | median ms | p95 | max | new connection: median | p95 | CPU ms |\n|---|---|---|---|---|---|---|"
    )
    for answer in ask_all(engine, asked, seed):
        one = " | ".join(f"{percentile(answer.one, share):.1f}" for share in (0.5, 0.95, 1.0))
        new = " | ".join(f"{percentile(answer.new, share):.1f}" for share in (0.5, 0.95))
        print(f"| {answer.name} | {one} | {new} | {answer.cpu:.1f} |", flush=True)
    print(
        "\n| impact | median s | min..max | CPU s | rows | calls | examples | sets |\n|---|---|---|---|---|---|---|---|"
    )
    for name, took, cpu, found in ask_impacts(engine, repeats):
        seconds = sorted(each / 1000 for each in took)
        counts = f"{found.rows:,} | {found.calls:,} | {found.examples:,} | {len(found.sets)}"
        spread = f"{seconds[0]:.2f}..{seconds[-1]:.2f}"
        print(f"| {name} | {percentile(seconds, 0.5):.2f} | {spread} | {cpu / 1000:.2f} | {counts} |", flush=True)
    print(f"load average {os.getloadavg()[0]:.1f}", file=sys.stderr)


def main() -> None:
    """Fill a database, or take one that is filled, and ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--examples", type=int, default=1_000_000, help="examples; rows are twice, cells ten times that"
    )
    parser.add_argument("--asked", type=int, default=300, help="records that each question is asked about")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each impact")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", help="URL of a database that was filled before")
    parsed = parser.parse_args()
    if parsed.database:
        report(engine_for(parsed.database), parsed.asked, parsed.repeats, parsed.seed)
        return
    with server() as url, fresh_database(url) as engine:
        fill(engine, parsed.examples, seed=parsed.seed)
        report(engine, parsed.asked, parsed.repeats, parsed.seed)


if __name__ == "__main__":
    main()
