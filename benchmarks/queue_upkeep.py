"""What use does to our queue tables: claims while a snapshot keeps dead rows alive, and sizes over many moves."""

from __future__ import annotations

import os
import socket
import statistics
import sys
import time
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import insert, text

from benchmarks.peers.rebase import Rebase
from rebase_db import __version__, control, queue
from rebase_db.outcomes import Done, Fail
from rebase_db.queue import EMBED, FIRST_PLACE
from rebase_db.schema import Worker

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from rebase_db.outcomes import Outcome
    from rebase_db.queue import Claim, Lane

CLAIMS = 200
CLAIM_ROWS = 16
FINISH_ROWS = 256
GROWTH_GATE = 1.5
CHURN_ROWS = 10_000
MOVES_A_CYCLE = 3 * CHURN_ROWS  # claim, fail, revive


class Hand:
    """Claims from one lane and finishes, one statement and one commit each, as `workers.runner` does.

    Args:
        connection: The database.
        lane: Whose rows.
        from_place: Begin a claim where the last one ended, which the runner does but for one claim every few seconds.
    """

    def __init__(self, connection: Connection, lane: Lane, *, from_place: bool = True) -> None:
        self.connection = connection
        self._lane = lane
        self._from_place = from_place
        self._place = FIRST_PLACE
        # A worker without a heartbeat: nobody rescues here.
        values = {"host": socket.gethostname(), "pid": os.getpid(), "code_version": __version__}
        self._worker_id = connection.execute(insert(Worker).values(values).returning(Worker.worker_id)).scalar_one()
        connection.commit()

    def take(self, rows: int) -> list[Claim]:
        """Claim and commit."""
        found = queue.claim(self.connection, EMBED, self._worker_id, rows, self._lane, self._place)
        self.connection.commit()
        if self._from_place:
            self._place = max((claim.place for claim in found), default=FIRST_PLACE)
        return found

    def finish(self, items: list[Claim], outcome: Outcome) -> None:
        """Finish and commit."""
        queue.settle(self.connection, EMBED, self._worker_id, [(item, outcome) for item in items])
        self.connection.commit()

    def cost(self) -> tuple[float, float]:
        """Milliseconds of a claim: mean CPU in the server, whose clock is too coarse for one, and median time."""
        backend = psutil.Process(self.connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        self.connection.commit()
        took, seconds = [], []
        used = backend.cpu_times()
        for _ in range(CLAIMS):
            began = time.perf_counter()
            took.append(self.take(CLAIM_ROWS))
            seconds.append(time.perf_counter() - began)
        now = backend.cpu_times()
        for items in took:
            self.finish(items, Done())
        cpu = now.user + now.system - used.user - used.system
        return 1000 * cpu / CLAIMS, 1000 * statistics.median(seconds)


def claim_under_snapshot(engine: Engine, completions: int) -> None:
    """Print what claim(16) costs before and after rows were finished while one transaction kept its snapshot open."""
    print(f"\n| claim({CLAIM_ROWS}) | before | after {completions:,} completions under a snapshot | growth | gate |")
    print("|---|---|---|---|---|")
    system = Rebase(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
    system.install()
    for from_place in (True, False):
        fill(engine, system, completions + 2 * CLAIMS * CLAIM_ROWS)
        with engine.connect() as connection, engine.connect() as reader:
            hand = Hand(connection, (system.encoder_id,), from_place=from_place)
            before = hand.cost()
            reader.execution_options(isolation_level="REPEATABLE READ")
            reader.execute(text("SELECT count(*) FROM embed_chunk"))
            for _ in range(completions // FINISH_ROWS):
                hand.finish(hand.take(FINISH_ROWS), Done())
            after = hand.cost()
            reader.rollback()
        for what, old, new in zip(("server CPU ms", "median ms"), before, after, strict=True):
            met = f"<= {GROWTH_GATE:g}: {'yes' if new <= GROWTH_GATE * old else 'no'}" if from_place else "now and then"
            where = "from where the last one ended" if from_place else "from the first row"
            print(f"| {where}, {what} | {old:.3f} | {new:.3f} | {new / old:.2f} | {met} |")
    system.close()


def churn(engine: Engine, moves: int) -> None:
    """Print the sizes of the tables as the same rows go round: claimed, failed, revived."""
    system = Rebase(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
    system.install()
    fill(engine, system, CHURN_ROWS)
    cycles = max(10, moves // MOVES_A_CYCLE)
    shown = {max(1, cycles * share // 100): share for share in (10, 25, 50, 75, 100)}
    print("\n| moves | embed_chunk MiB: heap + indexes | dead rows | vacuums | event MiB | rows/s |")
    print("|---|---|---|---|---|---|")
    with engine.connect() as connection:
        hand = Hand(connection, (system.encoder_id,))
        began = time.perf_counter()
        for cycle in range(1, cycles + 1):
            while items := hand.take(FINISH_ROWS):
                hand.finish(items, Fail("again"))
            control.revive(connection, EMBED, ["failed"], EMBED.key.is_not(None))
            connection.commit()
            if cycle in shown:
                rate = cycle * CHURN_ROWS / (time.perf_counter() - began)
                print(f"| {cycle * MOVES_A_CYCLE:,} ({shown[cycle]} %) | {sizes(connection)} | {rate:,.0f} |")
                sys.stdout.flush()
    system.close()


def sizes(connection: Connection) -> str:
    """The middle columns of the table of `churn`."""
    row = connection.execute(
        text("""
            SELECT pg_table_size('embed_chunk') / 1048576.0, pg_indexes_size('embed_chunk') / 1048576.0,
                   n_dead_tup, autovacuum_count, pg_total_relation_size('event') / 1048576.0
            FROM pg_stat_user_tables WHERE relname = 'embed_chunk'
        """)
    ).one()
    connection.commit()
    heap, indexes, dead, vacuums, events = row
    return f"{heap + indexes:.1f} = {heap:.1f} + {indexes:.1f} | {dead:,} | {vacuums} | {events:.0f}"


def fill(engine: Engine, system: Rebase, rows: int) -> None:
    """Chunks to claim, in tidy tables."""
    system.enqueue(rows)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) embed_chunk"))


if __name__ == "__main__":
    sys.exit("This is part of `python -m benchmarks.queue`.")
