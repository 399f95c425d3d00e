"""Claiming rows, and finishing them only while the claim is still one's own.

A queue is a table with the columns of `schema.base.JobColumns`. The protocol:

1. `claim` moves ready rows to working in one statement and commits; the attempt number it returns is the claim's fence.
2. The work is done outside any transaction.
3. `finish` moves the row on in the transaction that writes its results. It matches on state, worker and attempt, so a
   worker whose lease was given away changes nothing, and its transaction is rolled back with `LostClaimError`.
4. `rescue` returns rows of dead workers, see `rebase_db.lease`.

Every transition writes its `event` row in the same statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Table,
    bindparam,
    case,
    cast,
    column,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL
from sqlalchemy.types import BigInteger, Integer, SmallInteger, Text

from rebase_db.errors import LostClaimError
from rebase_db.schema import EmbedChunk, Event, Retrieval, RetrievalLink, TrainingRun, Worker
from rebase_db.schema.base import ATTEMPTS
from rebase_db.states import JOB, LINK, StateMachine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import CTE, Connection

LEASE_SECONDS = 60
# First half of the two-part advisory lock key a live worker's connection holds; the second is its worker_id.
LIVENESS_LOCK = 0x52454241


@dataclass(frozen=True)
class Queue:
    """A claimable table.

    Attributes:
        name: What `event.queue` calls it: the table's name.
        table: The table, with `JobColumns`.
        key: Its single-column primary key.
        machine: States and legal moves.
        order: Claim order.
        eligible: What else a claimable row must satisfy.
    """

    name: str
    table: Table
    key: Column[Any]
    machine: StateMachine
    order: tuple[ColumnElement[Any], ...]
    eligible: ColumnElement[bool]

    def in_state(self, state: str) -> ColumnElement[bool]:
        """The state as a literal in the SQL: a parameter would lose the partial indexes in a generic plan."""
        return self.table.c.state == bindparam(None, state, Text, literal_execute=True)


def _queue(
    model: type, key: str, machine: StateMachine, order: Sequence[str], eligible: ColumnElement[bool] | None = None
) -> Queue:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return Queue(
        table.name,
        table,
        table.c[key],
        machine,
        tuple(table.c[name] for name in order),
        true() if eligible is None else eligible,
    )


EMBED = _queue(EmbedChunk, "embed_chunk_id", JOB, ["embed_chunk_id"])
RETRIEVE = _queue(Retrieval, "retrieval_id", JOB, ["retrieval_id"])
TRANSFORM = _queue(
    RetrievalLink, "link_id", LINK, ["task_version_id", "encoder_id", "rank"], RetrievalLink.displaced_by.is_(None)
)
DISTILL = _queue(TrainingRun, "training_run_id", JOB, ["training_run_id"])
QUEUES = (EMBED, RETRIEVE, TRANSFORM, DISTILL)


@dataclass(frozen=True, slots=True)
class Claim:
    """A row held by this worker, as of one attempt; `last` when no other will follow it."""

    item_id: int
    attempt: int
    last: bool


def claim(
    connection: Connection, queue: Queue, worker_id: int, limit: int, scope: ColumnElement[bool] | None = None
) -> list[Claim]:
    """Take up to `limit` ready rows within `scope`, in claim order. Commit before working on them."""
    table = queue.table
    picked = (
        select(queue.key)
        .where(
            queue.in_state(queue.machine.ready),
            table.c.ready_at <= func.clock_timestamp(),
            queue.eligible,
            true() if scope is None else scope,
        )
        .order_by(*queue.order)
        .limit(limit)
        # Not plain FOR UPDATE: that would also skip rows whose children are just being inserted.
        .with_for_update(skip_locked=True, key_share=True)
        # In a CTE, because the planner may run a LIMITed subquery again and then update more rows than it limits.
        .cte("picked")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    moved = (
        update(table)
        .where(queue.key == picked.c[queue.key.name])
        .values(state=queue.machine.working, worker_id=worker_id, attempt=table.c.attempt + 1)
        .returning(queue.key.label("item_id"), table.c.attempt, table.c.attempt_limit)
        .cte("moved")
    )
    logged = _log(queue, moved, literal(queue.machine.ready), "claim", worker_id=worker_id)
    rows = connection.execute(select(moved).add_cte(logged))
    claims = [Claim(item_id, attempt, attempt >= limit) for item_id, attempt, limit in rows]
    return sorted(claims, key=lambda found: found.item_id)


def finish(
    connection: Connection,
    queue: Queue,
    worker_id: int,
    claims: Sequence[Claim],
    event: str,
    *,
    error: str | None = None,
    delay_seconds: float = 0,
    values: dict[str, Any] | None = None,
) -> None:
    """Move claimed rows on by `event`, in the caller's transaction, together with whatever else it writes there.

    `values` are further columns of the row to set in the same statement: those a CHECK ties to its state.

    Raises:
        LostClaimError: At least one row is no longer this worker's; the caller's transaction must be rolled back.
    """
    if not claims:
        return
    table, machine = queue.table, queue.machine
    after = machine.next_state(machine.working, event)
    held = (
        func.unnest(
            cast([item.item_id for item in claims], ARRAY(BigInteger)),
            cast([item.attempt for item in claims], ARRAY(SmallInteger)),
        )
        .table_valued(column("item_id", BigInteger), column("attempt", SmallInteger))
        .render_derived(name="held")
    )
    moved = (
        update(table)
        .where(
            queue.key == held.c.item_id,
            table.c.attempt == held.c.attempt,
            table.c.worker_id == worker_id,
            queue.in_state(machine.working),
        )
        .values(
            state=after,
            worker_id=None,
            error=error,
            ready_at=func.clock_timestamp() + cast(f"{delay_seconds} seconds", INTERVAL),
            finished_at=func.clock_timestamp() if after in machine.finished else None,
            # Handing back is nobody's failure, so it does not use up an attempt.
            attempt_limit=table.c.attempt_limit + (1 if event == "release" else 0),
            **(values or {}),
        )
        .returning(queue.key.label("item_id"), table.c.attempt)
        .cte("moved")
    )
    logged = _log(queue, moved, literal(machine.working), event, worker_id=worker_id, detail=literal(error, Text))
    count = connection.execute(select(func.count()).select_from(moved).add_cte(logged)).scalar_one()
    if count != len(claims):
        raise LostClaimError(f"{len(claims) - count} of {len(claims)} rows of {queue.name} went to another worker.")


def give_up(
    connection: Connection,
    queue: Queue,
    worker_id: int,
    claims: Iterable[Claim],
    error: str,
    *,
    least_delay_seconds: float = 0,
) -> None:
    """After a failed attempt: back to ready with a growing delay, or `failed` once the attempts are used up."""
    claims = list(claims)
    again = [item for item in claims if not item.last]
    last = [item for item in claims if item.last]
    for attempt in {item.attempt for item in again}:
        held = [item for item in again if item.attempt == attempt]
        delay = max(0.5 * 2**attempt, least_delay_seconds)
        finish(connection, queue, worker_id, held, "retry", error=error, delay_seconds=delay)
    finish(connection, queue, worker_id, last, "fail", error=error)


def still_held(connection: Connection, queue: Queue, worker_id: int, claims: Sequence[Claim]) -> list[Claim]:
    """Those of `claims` that are still this worker's; locked, so that they stay so until the transaction ends."""
    table = queue.table
    rows = connection.execute(
        select(queue.key, table.c.attempt)
        .where(
            queue.key.in_([item.item_id for item in claims]),
            table.c.worker_id == worker_id,
            queue.in_state(queue.machine.working),
        )
        .with_for_update(key_share=True)
    )
    held = {tuple(row) for row in rows}
    return [item for item in claims if (item.item_id, item.attempt) in held]


def rescue(connection: Connection, queue: Queue, worker_id: int) -> int:
    """Return rows whose worker is gone: stopped, silent for a lease, or without its liveness lock; their number.

    A killed process's connection is closed by the kernel, which frees the lock, so its rows are back at once; the
    heartbeat is for machines that vanish without closing anything. Should a live worker lose its lock (its connection
    dropped), its rows are done twice, but its late results are refused by the fence.
    """
    table, machine = queue.table, queue.machine
    holders = select(table.c.worker_id).where(queue.in_state(machine.working)).distinct()
    dead = (
        select(Worker.worker_id)
        .where(
            Worker.worker_id.in_(holders),
            Worker.worker_id != worker_id,
            or_(
                Worker.stopped_at.is_not(None),
                Worker.heartbeat_at < func.clock_timestamp() - cast(f"{LEASE_SECONDS} seconds", INTERVAL),
                func.pg_try_advisory_xact_lock(LIVENESS_LOCK, Worker.worker_id),
            ),
        )
        .cte("dead")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    exhausted = table.c.attempt >= table.c.attempt_limit
    moved = (
        update(table)
        .where(table.c.worker_id == dead.c.worker_id, queue.in_state(machine.working))
        .values(
            state=case((exhausted, "failed"), else_=machine.ready),
            worker_id=None,
            error=func.concat("worker ", dead.c.worker_id, " died in attempt ", table.c.attempt),
            ready_at=func.clock_timestamp(),
            finished_at=case((exhausted, func.clock_timestamp()), else_=null()),
        )
        .returning(queue.key.label("item_id"), table.c.attempt, table.c.state, table.c.error)
        .cte("moved")
    )
    event = case((moved.c.state == "failed", "fail"), else_="rescue")
    logged = _log(queue, moved, literal(machine.working), event, detail=moved.c.error)
    return connection.execute(select(func.count()).select_from(moved).add_cte(logged)).scalar_one()


def revive(connection: Connection, queue: Queue, state: str, which: ColumnElement[bool]) -> int:
    """Put rows in `state` that satisfy `which` back to ready with a fresh set of attempts; their number."""
    table, machine = queue.table, queue.machine
    moved = (
        update(table)
        .where(queue.in_state(state), which)
        .values(
            state=machine.next_state(state, "revive"),
            error=None,
            finished_at=None,
            ready_at=func.clock_timestamp(),
            attempt_limit=table.c.attempt + ATTEMPTS,
        )
        .returning(queue.key.label("item_id"), table.c.attempt)
        .cte("moved")
    )
    logged = _log(queue, moved, literal(state), "revive")
    return connection.execute(select(func.count()).select_from(moved).add_cte(logged)).scalar_one()


def move(connection: Connection, queue: Queue, state: str, event: str, which: ColumnElement[bool]) -> int:
    """Move unclaimed rows from one finished state to another by `event`; their number."""
    table, machine = queue.table, queue.machine
    moved = (
        update(table)
        .where(queue.in_state(state), which)
        .values(state=machine.next_state(state, event))
        .returning(queue.key.label("item_id"), table.c.attempt)
        .cte("moved")
    )
    logged = _log(queue, moved, literal(state), event)
    return connection.execute(select(func.count()).select_from(moved).add_cte(logged)).scalar_one()


def failure(connection: Connection, queue: Queue, scope: ColumnElement[bool]) -> str | None:
    """The error of a row that failed for good; None when there is none."""
    table = queue.table
    return connection.execute(
        select(table.c.error).where(queue.in_state("failed"), scope).order_by(queue.key).limit(1)
    ).scalar_one_or_none()


def counts(connection: Connection, queue: Queue, scope: ColumnElement[bool] | None = None) -> dict[str, int]:
    """Number of eligible rows in each state, for those states that have any."""
    table = queue.table
    rows = connection.execute(
        select(table.c.state, func.count())
        .where(queue.eligible, true() if scope is None else scope)
        .group_by(table.c.state)
    )
    return dict(rows.all())


def _log(
    queue: Queue,
    moved: CTE,
    before: ColumnElement[Any],
    event: str | ColumnElement[str],
    *,
    worker_id: int | None = None,
    detail: ColumnElement[Any] | None = None,
) -> CTE:
    """The event rows of a transition, as part of its statement."""
    after = literal(queue.machine.next_state_of(event)) if isinstance(event, str) else moved.c.state
    return (
        insert(Event)
        .from_select(
            ["queue", "item_id", "attempt", "from_state", "to_state", "event", "worker_id", "detail"],
            select(
                literal(queue.name),
                moved.c.item_id,
                moved.c.attempt,
                before,
                after,
                literal(event) if isinstance(event, str) else event,
                literal(worker_id, Integer),
                null() if detail is None else detail,
            ),
        )
        .cte("logged")
    )
