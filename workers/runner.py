"""Drains a stage: claims batches and works on them until nothing is left to claim or to wait for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from rebase_db import queue
from rebase_db.errors import LostClaimError, RebaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Engine

    from rebase_db.lease import Lease
    from rebase_db.queue import Claim, Queue

IDLE_SECONDS = 0.2
"""How often to look again while rows wait for their retry time or are held by another worker."""


class Stage(Protocol):
    """What the runner needs to know of a stage."""

    queue: Queue
    scope: ColumnElement[bool]
    batch: int

    def work(self, claims: Sequence[Claim]) -> None:
        """Work on claimed rows and finish each under its claim; rows not finished when it raises are given up."""
        ...

    def close(self) -> None:
        """Let go of models and connections."""
        ...


def drain(engine: Engine, lease: Lease, stage: Stage, on_counts: Callable[[dict[str, int]], None]) -> dict[str, int]:
    """Run a stage until none of its rows is ready, waiting or held by anybody; the number of rows in each state.

    Args:
        engine: The database.
        lease: This worker.
        stage: What to run.
        on_counts: Told the number of rows in each state, after every batch.

    Raises:
        RebaseError: The stage cannot go on (a teacher refuses its key); claimed rows were handed back.
    """
    idle = threading.Event()
    machine = stage.queue.machine
    while True:
        with engine.begin() as connection:
            queue.rescue(connection, stage.queue, lease.worker_id)
            claims = queue.claim(connection, stage.queue, lease.worker_id, stage.batch, stage.scope)
        if claims:
            _work(engine, lease, stage, claims)
        with engine.connect() as connection:
            counts = queue.counts(connection, stage.queue, stage.scope)
        on_counts(counts)
        if not claims:
            if not counts.get(machine.ready, 0) + counts.get(machine.working, 0):
                return counts
            idle.wait(IDLE_SECONDS)


def _work(engine: Engine, lease: Lease, stage: Stage, claims: Sequence[Claim]) -> None:
    try:
        stage.work(claims)
    except LostClaimError:
        # Another worker has rows of ours, and whatever we did not commit is gone, as it should be. Those that it does
        # not have go back, for nobody rescues the rows of a worker that lives.
        _end(engine, lease, stage, claims, None)
    except (RebaseError, KeyboardInterrupt, SystemExit):
        # Nobody's rows are at fault: hand back what is still ours and stop.
        _end(engine, lease, stage, claims, None)
        raise
    except Exception as error:  # noqa: BLE001 - whatever a model or a library throws is an attempt that failed
        _end(engine, lease, stage, claims, f"{type(error).__name__}: {error}")
    else:
        _end(engine, lease, stage, claims, "the stage left this row unfinished")


def _end(engine: Engine, lease: Lease, stage: Stage, claims: Sequence[Claim], error: str | None) -> None:
    """Release (no error) or give up the claims that are still held; finished ones are left alone."""
    with engine.begin() as connection:
        held = queue.still_held(connection, stage.queue, lease.worker_id, claims)
        if error is None:
            queue.finish(connection, stage.queue, lease.worker_id, held, "release")
        else:
            queue.give_up(connection, stage.queue, lease.worker_id, held, error)
