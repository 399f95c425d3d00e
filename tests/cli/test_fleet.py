"""`rebase workers`: who lives, who is gone, and what each holds."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db import queue
from rebase_db.lease import Lease
from rebase_db.outcomes import Done
from tests.queue import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from tests.cli.conftest import Queued


def read(invoke: Callable[..., Result], *options: str) -> list[dict[str, Any]]:
    result = invoke("workers", "--json", *options)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_a_live_worker_with_what_it_holds_and_finished(queued: Queued, invoke: Callable[..., Result]) -> None:
    with Lease(queued.engine, stages=["embed", "transform"], concurrency=2) as lease:
        with queued.engine.begin() as connection:
            claims = queue.claim(connection, queue.TRANSFORM, lease.worker_id, 5)
            done = [(claim, Done()) for claim in claims[:2]]
            queue.settle(connection, queue.TRANSFORM, lease.worker_id, done)
        (one,) = read(invoke)
        shown = invoke("workers")
    assert (one["worker_id"], one["state"], one["concurrency"]) == (lease.worker_id, "live", 2)
    assert (one["host"], one["pid"], one["stages"]) == (socket.gethostname(), os.getpid(), ["embed", "transform"])
    assert (one["in_hand"], one["finished_last_hour"]) == ({"transform": 3}, 2)
    assert one["heartbeat_age"] >= 0
    assert one["started_at"] <= one["heartbeat_at"]
    assert "3 transform" in " ".join(shown.stdout.split())
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_the_stopped_and_the_dead_are_shown_when_asked_for(queued: Queued, invoke: Callable[..., Result]) -> None:
    with Lease(queued.engine) as stopped:
        pass
    with queued.engine.begin() as connection:
        dead, holder = rows.add_worker(connection), rows.add_worker(connection)  # neither has its lock
        rows.put_in_state(connection, queue.TRANSFORM, queued.links[0], "transforming", holder)
    assert [(one["worker_id"], one["state"]) for one in read(invoke)] == [(holder, "dead")]
    everyone = {one["worker_id"]: one["state"] for one in read(invoke, "--all")}
    assert everyone.items() >= {(stopped.worker_id, "stopped"), (dead, "dead"), (holder, "dead")}
    assert "a command" in invoke("workers", "--all").stdout


def test_a_silent_worker_is_dead_though_it_has_its_lock(queued: Queued, invoke: Callable[..., Result]) -> None:
    with Lease(queued.engine) as lease:
        with queued.engine.begin() as connection:
            connection.execute(text("UPDATE worker SET heartbeat_at = now() - interval '1 h'"))
        assert read(invoke) == []
        assert {one["state"] for one in read(invoke, "--all") if one["worker_id"] == lease.worker_id} == {"dead"}


def test_nobody(invoke: Callable[..., Result]) -> None:
    nobody = invoke("workers")
    assert (nobody.exit_code, nobody.stdout) == (0, "")
    assert "`rebase work` starts one" in nobody.stderr
    assert read(invoke) == []
