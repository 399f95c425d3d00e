"""Claiming rows, and moving them on only while the claim is still one's own.

A queue is a table with the columns of `schema.base.JobColumns`. The protocol:

1. `claim` moves ready rows to working in one statement, which is committed; the attempt number it returns is the fence.
2. The work is done outside any transaction.
3. `hold` and `settle` move the rows on in the transaction that writes their results. Both match on row, attempt, worker
   and state, and say which rows that left: of the others nothing is written.
Rows of workers that are gone come back by `rebase_db.rescue`; what people do to rows is in `rebase_db.control`. Every
transition writes its `event` row in the same statement.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Table,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, TIMESTAMP
from sqlalchemy.types import BigInteger, Double, Integer, SmallInteger, Text

from rebase_db.database.compiled import Compiled
from rebase_db.events import log_transition
from rebase_db.outcomes import Done, Fail, Outcome, Reject, Release, Retry, Snooze, backoff_seconds
from rebase_db.schema import EmbedChunk, Retrieval, RetrievalLink, Task, TaskVersion, TrainingRun
from rebase_db.schema.base import ATTEMPTS
from rebase_db.states import JOB, LINK, StateMachine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

Lane = tuple[int, ...]
"""What the rows of one batch have in common, see `Queue.lane`."""


@dataclass(frozen=True, eq=False)
class Queue:
    """A claimable table.

    Attributes:
        name: What `event.queue` calls it: the table's name.
        stage: The stage that works on it.
        table: The table, with `JobColumns`.
        key: Its single-column primary key.
        machine: States and legal moves.
        lane: The columns that the rows of one batch share: whatever a worker has to load for them.
        rank: Claim order among rows that became ready together.
        eligible: What else a claimable row must satisfy.
    """

    name: str
    stage: str
    table: Table
    key: Column[Any]
    machine: StateMachine
    lane: tuple[Column[Any], ...]
    rank: Column[Any]
    eligible: ColumnElement[bool]

    def in_state(self, state: str) -> ColumnElement[bool]:
        """The state as a literal in the SQL: a parameter would lose the partial indexes in a generic plan."""
        return self.table.c.state == bindparam(None, state, Text, literal_execute=True)

    def in_lane(self, lane: Lane) -> ColumnElement[bool]:
        """The rows of one lane, as a condition."""
        return and_(*(column == value for column, value in zip(self.lane, lane, strict=True)))

    def in_lanes(self, lanes: Sequence[Lane]) -> ColumnElement[bool]:
        """The rows of any of some lanes, as a condition."""
        return or_(*(self.in_lane(lane) for lane in lanes))


def _queue(
    model: type,
    stage: str,
    key: str,
    machine: StateMachine,
    *,
    lane: Sequence[str],
    rank: str,
    eligible: ColumnElement[bool] | None = None,
) -> Queue:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return Queue(
        table.name,
        stage,
        table,
        table.c[key],
        machine,
        tuple(table.c[name] for name in lane),
        table.c[rank],
        true() if eligible is None else eligible,
    )


EMBED = _queue(EmbedChunk, "embed", "embed_chunk_id", JOB, lane=["encoder_id"], rank="embed_chunk_id")
RETRIEVE = _queue(
    Retrieval,
    "retrieve",
    "retrieval_id",
    JOB,
    lane=["encoder_id"],
    rank="retrieval_id",
    # Retrievals of several tasks share a lane; of the other queues, a paused task's rows have lanes of their own.
    # Not EXISTS, which the planner may turn into a join of all that is ready, to be sorted for each batch.
    eligible=select(Task.paused_at)
    .join(TaskVersion)
    .where(TaskVersion.task_version_id == Retrieval.task_version_id)
    .scalar_subquery()
    .is_(None),
)
TRANSFORM = _queue(
    RetrievalLink,
    "transform",
    "link_id",
    LINK,
    lane=["task_version_id", "encoder_id"],
    rank="rank",
    eligible=RetrievalLink.displaced_by.is_(None) & RetrievalLink.retracted_at.is_(None),
)
DISTILL = _queue(TrainingRun, "distill", "training_run_id", JOB, lane=["training_run_id"], rank="training_run_id")
QUEUES = (EMBED, RETRIEVE, TRANSFORM, DISTILL)


Place = tuple[dt.datetime, int]
"""Where a row stood in the order of claiming: when it became ready, and its rank."""

FIRST_PLACE: Place = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), 0)


@dataclass(frozen=True, slots=True)
class Claim:
    """A row held by this worker, as of one attempt; `last` when no other will follow it.

    `tries` are the attempts that count, this one included: not those that were handed back or snoozed.
    """

    item_id: int
    attempt: int
    last: bool
    place: Place = field(default=FIRST_PLACE, compare=False)
    tries: int = field(default=1, compare=False)


def claim(
    connection: Connection,
    queue: Queue,
    worker_id: int,
    limit: int,
    lane: Lane | None = None,
    after: Place = FIRST_PLACE,
) -> list[Claim]:
    """Take up to `limit` ready rows of a lane (of any, for tests), longest ready first. Commit before working on them.

    Rows that workers died with are taken apart from others and by ever smaller batches, a quarter each time, so that
    the one that kills workers comes to be alone and its neighbours live.

    `after` is where to begin: what was claimed before that place is still in the index as long as some transaction
    might see it, and walking over it each time would cost more with every batch. It is a hint, for rows may come to
    stand before it.
    """
    parameters = {
        "worker": worker_id,
        "batch": limit,
        "after_ready": after[0],
        "after_rank": after[1],
        **{f"lane_{n}": value for n, value in enumerate(lane or ())},
    }
    rows = _claim(queue, in_lane=lane is not None).execute(connection, parameters)
    return sorted(
        (
            Claim(item_id, attempt, attempt >= limit, (ready, rank), tries=ATTEMPTS - (limit - attempt))
            for item_id, attempt, limit, ready, rank in rows
        ),
        key=lambda found: found.item_id,
    )


@cache
def _claim(queue: Queue, *, in_lane: bool) -> Compiled:
    """The statement of `claim`."""
    table = queue.table
    worker_id = bindparam("worker", None, Integer)
    lane = [part == bindparam(f"lane_{n}", None, Integer) for n, part in enumerate(queue.lane)] if in_lane else []
    batch = bindparam("batch", None, Integer)
    picked = (
        select(queue.key, table.c.crashes)
        .where(
            queue.in_state(queue.machine.ready),
            # Not clock_timestamp(), which is volatile and so no condition an index can be searched by.
            table.c.ready_at <= func.statement_timestamp(),
            tuple_(table.c.ready_at, queue.rank)
            >= tuple_(
                bindparam("after_ready", None, TIMESTAMP(timezone=True)), bindparam("after_rank", None, BigInteger)
            ),
            queue.eligible,
            *lane,
        )
        .order_by(table.c.ready_at, queue.rank)
        .limit(batch)
        # Not plain FOR UPDATE: that would also skip rows whose children are just being inserted.
        .with_for_update(skip_locked=True, key_share=True, of=table)
        # In a CTE, because the planner may run a LIMITed subquery again and then update more rows than it limits.
        .cte("picked")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    # Without windows or sorting, which would cost every batch for the sake of the rare one with such rows: whichever
    # row is looked at first decides.
    crashes = select(picked.c.crashes).limit(1).scalar_subquery()
    size = case((crashes == 0, batch), else_=func.greatest(1, func.least(batch, 256).bitwise_rshift(2 * crashes)))
    taken = select(picked.c[queue.key.name]).where(picked.c.crashes == crashes).limit(size).subquery("taken")
    moved = (
        update(table)
        .where(queue.key == taken.c[queue.key.name])
        .values(state=queue.machine.working, worker_id=worker_id, attempt=table.c.attempt + 1)
        .returning(
            queue.key.label("item_id"),
            table.c.attempt,
            table.c.attempt_limit,
            table.c.ready_at,
            queue.rank.label("rank"),
        )
        .cte("moved")
    )
    logged = log_transition(queue, moved, "claim", literal(queue.machine.ready), worker_id=worker_id)
    return Compiled(select(moved).add_cte(logged))


def hold(connection: Connection, queue: Queue, worker_id: int, claims: Sequence[Claim]) -> list[Claim]:
    """Those of `claims` that are still this worker's; locked, so that they stay so until the transaction ends."""
    rows = _hold(queue).execute(connection, _fence(worker_id, claims))
    held = {tuple(row) for row in rows}
    return [item for item in claims if (item.item_id, item.attempt) in held]


def held_by(connection: Connection, queue: Queue, worker_id: int) -> list[Claim]:
    """Everything of a queue that a worker holds, as the database has it."""
    table = queue.table
    rows = connection.execute(
        select(queue.key, table.c.attempt, table.c.attempt >= table.c.attempt_limit).where(
            queue.in_state(queue.machine.working), table.c.worker_id == worker_id
        )
    )
    return [Claim(*row) for row in rows]


def settle(
    connection: Connection,
    queue: Queue,
    worker_id: int,
    outcomes: Sequence[tuple[Claim, Outcome]],
    values: dict[str, Any] | None = None,
) -> list[Claim]:
    """Carry out what became of claimed rows, in the caller's transaction; the claims that were still this worker's.

    Rows that were not are left as they are. `values` are further columns to set in the same statement: those a CHECK
    ties to the state.
    """
    if not outcomes:
        return []
    claims = [item for item, _ in outcomes]
    moves = [_move(queue.machine, item, outcome) for item, outcome in outcomes]
    parameters = _fence(worker_id, claims)
    first = moves[0]
    uniform = all(move == first for move in moves)
    if uniform:
        parameters |= dict(zip(_MOVE, first, strict=True))
    else:
        parameters |= {name: list(part) for name, part in zip(_MOVE, zip(*moves, strict=True), strict=True)}
    statement = _settle(queue, tuple(sorted(values)) if values else (), uniform=uniform)
    rows = statement.execute(connection, parameters | (values or {}))
    settled = {item_id for (item_id,) in rows}
    return [item for item in claims if item.item_id in settled]


_MOVE = {
    "event": Text,
    "to_state": Text,
    "error": Text,
    "delay": Double,
    "uncharged": SmallInteger,
    "apart": SmallInteger,
}


def _move(machine: StateMachine, item: Claim, outcome: Outcome) -> tuple[str, str, str | None, float, int, int]:
    """An outcome as the values of `_MOVE`."""
    event, error, delay, uncharged, apart = outcome.event, None, 0.0, 0, 0
    match outcome:
        case Done():
            pass
        case Release():
            uncharged = 1
        case Snooze(seconds, reason):
            error, delay, uncharged = reason, seconds, 1
        case Reject(reason) | Fail(reason):
            error = reason
        case Retry(reason, after_seconds, parted):
            error, apart = reason, int(parted)
            if item.last:
                event = "fail"
            else:
                delay = max(backoff_seconds(item.tries), after_seconds)
    # As a float: the driver refuses an array of whole numbers and others.
    return event, machine.next_state(machine.working, event), error and _storable(error), float(delay), uncharged, apart


def _storable(text: str) -> str:
    """The text without what Postgres cannot hold: an error's words must never be why it cannot be written down."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _fence(worker_id: int, claims: Sequence[Claim]) -> dict[str, Any]:
    return {
        "worker": worker_id,
        "item_ids": [item.item_id for item in claims],
        "attempts": [item.attempt for item in claims],
    }


def _array(name: str, kind: Any) -> ColumnElement[Any]:
    return cast(bindparam(name, None), ARRAY(kind))


@cache
def _hold(queue: Queue) -> Compiled:
    held = (
        func.unnest(_array("item_ids", BigInteger), _array("attempts", SmallInteger))
        .table_valued(column("item_id", BigInteger), column("attempt", SmallInteger))
        .render_derived(name="held")
    )
    return Compiled(
        select(queue.key, queue.table.c.attempt)
        .join(held, queue.key == held.c.item_id)
        .where(*_is_held(queue, held.c.attempt))
        .order_by(queue.key)  # whoever locks several does so in this order
        .with_for_update(key_share=True, of=queue.table)
    )


def _is_held(queue: Queue, attempt: ColumnElement[Any]) -> tuple[ColumnElement[bool], ...]:
    """The fence."""
    return (
        queue.table.c.attempt == attempt,
        queue.table.c.worker_id == bindparam("worker", None, Integer),
        queue.in_state(queue.machine.working),
    )


@cache
def _settle(queue: Queue, columns: tuple[str, ...], *, uniform: bool) -> Compiled:
    """The statement of `settle`."""
    table, machine = queue.table, queue.machine
    fence = [_array("item_ids", BigInteger), _array("attempts", SmallInteger)]
    names = [column("item_id", BigInteger), column("attempt", SmallInteger)]
    if uniform:
        held = func.unnest(*fence).table_valued(*names).render_derived(name="held")
        move: dict[str, ColumnElement[Any]] = {name: cast(bindparam(name, None), kind) for name, kind in _MOVE.items()}
    else:
        arrays = [_array(name, kind) for name, kind in _MOVE.items()]
        names += [column(name, kind) for name, kind in _MOVE.items()]
        held = func.unnest(*fence, *arrays).table_valued(*names).render_derived(name="held")
        move = {name: held.c[name] for name in _MOVE}
    final = move["to_state"].in_(machine.finished)
    now = func.clock_timestamp()
    moved = (
        update(table)
        .where(queue.key == held.c.item_id, *_is_held(queue, held.c.attempt))
        .values(
            state=move["to_state"],
            worker_id=None,
            error=move["error"],
            ready_at=now + move["delay"] * literal_column("interval '1 second'", INTERVAL),
            finished_at=case((final, now), else_=null()),
            attempt_limit=table.c.attempt_limit + move["uncharged"],
            crashes=case((final, 0), else_=table.c.crashes + move["apart"]),
            **{name: bindparam(name, None, table.c[name].type) for name in columns},
        )
        .returning(
            queue.key.label("item_id"),
            table.c.attempt,
            *(move[name].label(name) for name in ("event", "to_state", "error")),
        )
        .cte("moved")
    )
    logged = log_transition(
        queue,
        moved,
        moved.c.event,
        literal(machine.working),
        to_state=moved.c.to_state,
        worker_id=bindparam("worker", None, Integer),
        detail=moved.c.error,
    )
    return Compiled(select(moved.c.item_id).add_cte(logged))


def counts(connection: Connection, queue: Queue, scope: ColumnElement[bool] | None = None) -> dict[str, int]:
    """Number of eligible rows in each state, for those states that have any."""
    table = queue.table
    rows = connection.execute(
        select(table.c.state, func.count())
        .where(queue.eligible, true() if scope is None else scope)
        .group_by(table.c.state)
    )
    return dict(rows.all())


def failure(connection: Connection, queue: Queue, scope: ColumnElement[bool]) -> str | None:
    """The error of a row that failed for good; None when there is none."""
    table = queue.table
    return connection.execute(
        select(table.c.error).where(queue.in_state("failed"), scope).order_by(queue.key).limit(1)
    ).scalar_one_or_none()
