"""Returning the rows of workers that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, case, cast, func, literal, null, or_, select, update
from sqlalchemy.dialects.postgresql import INTERVAL

from rebase_db import settings
from rebase_db.events import log_transition
from rebase_db.schema import Worker

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rebase_db.queue import Queue

LIVENESS_LOCK = 0x52454241
"""First half of the two-part advisory lock key a live worker's connection holds; the second is its worker_id."""

RECONNECT_SECONDS = 5
"""After a start of the server no lock is held yet: so long, live workers have time to come back for theirs."""


def rescue(connection: Connection, queue: Queue, worker_id: int) -> int:
    """Return rows whose worker is gone: stopped, silent for a lease, or without its liveness lock; their number.

    A killed process's connection is closed by the kernel, which frees the lock, so its rows are back at once; the
    heartbeat is for machines that vanish without closing anything. Should a live worker lose its lock (its connection
    dropped), its rows are done twice, but its late results are refused by the fence. Rows that somebody has locked are
    about to be moved on and are left for the next time.
    """
    table, machine = queue.table, queue.machine
    lease = cast(f"{settings.lease_seconds()} seconds", INTERVAL)
    holders = select(table.c.worker_id).where(queue.in_state(machine.working)).distinct().cte("holders")
    dead = (
        select(holders.c.worker_id)
        .join(Worker, Worker.worker_id == holders.c.worker_id)
        .where(
            holders.c.worker_id != worker_id,
            or_(
                Worker.stopped_at.is_not(None),
                Worker.heartbeat_at < func.clock_timestamp() - lease,
                # The holder's id, so that this is a condition of the join: one of `worker` alone would be tried on
                # every worker, and one that is just starting would find its lock taken.
                and_(
                    func.pg_postmaster_start_time()
                    < func.clock_timestamp() - cast(f"{RECONNECT_SECONDS} seconds", INTERVAL),
                    func.pg_try_advisory_xact_lock(LIVENESS_LOCK, holders.c.worker_id),
                ),
            ),
        )
        .cte("dead")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    left = (
        select(queue.key, table.c.worker_id)
        .where(queue.in_state(machine.working), table.c.worker_id.in_(select(dead.c.worker_id)))
        .with_for_update(skip_locked=True, key_share=True)
        .cte("left_behind")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    exhausted = table.c.attempt >= table.c.attempt_limit
    moved = (
        update(table)
        .where(queue.key == left.c[queue.key.name])
        .values(
            state=case((exhausted, "failed"), else_=machine.ready),
            worker_id=None,
            error=func.concat("worker ", left.c.worker_id, " died in attempt ", table.c.attempt),
            ready_at=func.clock_timestamp(),
            finished_at=case((exhausted, func.clock_timestamp()), else_=null()),
            crashes=table.c.crashes + 1,
        )
        .returning(queue.key.label("item_id"), table.c.attempt, table.c.state, table.c.error)
        .cte("moved")
    )
    event = case((moved.c.state == "failed", "fail"), else_="rescue")
    logged = log_transition(queue, moved, event, literal(machine.working), to_state=moved.c.state, detail=moved.c.error)
    return connection.execute(select(func.count()).select_from(moved).add_cte(logged)).scalar_one()
