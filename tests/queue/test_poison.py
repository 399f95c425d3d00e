"""A row that kills every process that works on it, and its neighbours."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.schema.base import ATTEMPTS
from tests.queue import rows

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.schema.chain import Row

DRAIN = """\
import os, signal, sys
from rebase_db import queue
from rebase_db.database.engine import engine_for
from rebase_db.lease import Lease
from tests.queue import rows
from tests.queue.stub_stage import StubStage
from workers.runner import drain

class Fragile(StubStage):
    def handle(self, lane, claims):
        print(*(claim.item_id for claim in claims), flush=True)
        if int(sys.argv[2]) in {claim.item_id for claim in claims}:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().handle(lane, claims)

engine = engine_for(sys.argv[1])
with engine.connect() as connection:
    lanes = rows.lanes_of(connection, queue.EMBED)
with Lease(engine) as lease:
    drain(engine, lease, Fragile(queue.EMBED), lanes)
"""


def test_a_row_that_kills_its_workers_ends_as_failed_and_costs_its_neighbours_one_attempt(
    engine: Engine, database_url: str, own_chain: dict[str, Row]
) -> None:
    with engine.begin() as connection:
        ids = rows.add_ready(connection, own_chain, queue.EMBED, 8)
    poison = ids[1]
    deaths, batches = 0, []
    while True:
        ran = subprocess.run(
            [sys.executable, "-c", DRAIN, database_url, str(poison)], capture_output=True, text=True, check=False
        )
        batches += [[int(item_id) for item_id in line.split()] for line in ran.stdout.splitlines()]
        if ran.returncode == 0:
            break
        assert ran.returncode == -signal.SIGKILL, ran.stderr
        deaths += 1
        assert deaths <= ATTEMPTS
    assert deaths == ATTEMPTS

    with_poison = [batch for batch in batches if poison in batch]
    assert with_poison == [ids[:4], *[[poison]] * (ATTEMPTS - 1)]  # alone from the second time on
    with engine.connect() as connection:
        row = rows.read(connection, queue.EMBED, poison)
        died = f"worker {rows.events(connection, queue.EMBED, poison)[-2][4]} died in attempt {ATTEMPTS}"
        assert (row["state"], row["error"], row["crashes"]) == ("failed", died, ATTEMPTS)
        happened = [event[0] for event in rows.events(connection, queue.EMBED, poison)]
        assert happened == [*["claim", "rescue"] * (ATTEMPTS - 1), "claim", "fail"]
        for item_id in ids:
            if item_id == poison:
                continue
            row = rows.read(connection, queue.EMBED, item_id)
            assert (row["state"], row["crashes"]) == ("done", 0)
            assert row["attempt"] == (2 if item_id in ids[:4] else 1)
