"""Claiming rows, and moving them on only while the claim is still one's own.

A queue is a table with the columns of `schema.base.JobColumns`. The protocol:

1. `claim` moves ready rows to working in one statement, which is committed; the attempt number it returns is the fence.
2. The work is done outside any transaction.
3. `hold` and `settle` move the rows on in the transaction that writes their results. Both match on row, attempt, worker
   and state, and say which rows that left: of the others nothing is written.
4. `rescue` returns the rows of workers that are gone, see `rebase_db.lease`.

Every transition writes its `event` row in the same statement. What people do to rows is in `rebase_db.control`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL
from sqlalchemy.types import BigInteger, Double, Integer, SmallInteger, Text

from rebase_db import settings
from rebase_db.outcomes import Done, Fail, Outcome, Reject, Release, Retry, Snooze, backoff_seconds
from rebase_db.schema import EmbedChunk, Event, Retrieval, RetrievalLink, Task, TaskVersion, TrainingRun, Worker
from rebase_db.states import JOB, LINK, StateMachine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import CTE, Connection

Lane = tuple[int, ...]
"""What the rows of one batch have in common, see `Queue.lane`."""

LIVENESS_LOCK = 0x52454241
"""First half of the two-part advisory lock key a live worker's connection holds; the second is its worker_id."""


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
    eligible=~select(Task.task_id)
    .join(TaskVersion)
    .where(TaskVersion.task_version_id == Retrieval.task_version_id, Task.paused_at.is_not(None))
    .exists(),
)
TRANSFORM = _queue(
    RetrievalLink,
    "transform",
    "link_id",
    LINK,
    lane=["task_version_id", "encoder_id"],
    rank="rank",
    eligible=RetrievalLink.displaced_by.is_(None),
)
DISTILL = _queue(TrainingRun, "distill", "training_run_id", JOB, lane=["training_run_id"], rank="training_run_id")
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
    """Take up to `limit` ready rows within `scope` (a lane), longest ready first. Commit before working on them.

    A row that a worker died with is taken alone, so that the one that kills workers is found and its neighbours live.
    """
    table = queue.table
    picked = (
        select(queue.key, table.c.crashes)
        .where(
            queue.in_state(queue.machine.ready),
            # Not clock_timestamp(), which is volatile and so no condition an index can be searched by.
            table.c.ready_at <= func.statement_timestamp(),
            queue.eligible,
            true() if scope is None else scope,
        )
        .order_by(table.c.ready_at, queue.rank)
        .limit(limit)
        # Not plain FOR UPDATE: that would also skip rows whose children are just being inserted.
        .with_for_update(skip_locked=True, key_share=True)
        # In a CTE, because the planner may run a LIMITed subquery again and then update more rows than it limits.
        .cte("picked")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    # The first of them if it crashed a worker; otherwise those that have not.
    alone = select(picked.c[queue.key.name]).where(picked.c.crashes > 0).limit(1).scalar_subquery()
    moved = (
        update(table)
        .where(queue.key == picked.c[queue.key.name], or_(alone.is_(None), queue.key == alone))
        .values(state=queue.machine.working, worker_id=worker_id, attempt=table.c.attempt + 1)
        .returning(queue.key.label("item_id"), table.c.attempt, table.c.attempt_limit)
        .cte("moved")
    )
    logged = _log(queue, moved, "claim", literal(queue.machine.ready), worker_id=literal(worker_id, Integer))
    rows = connection.execute(select(moved).add_cte(logged))
    return sorted(
        (Claim(item_id, attempt, attempt >= limit) for item_id, attempt, limit in rows), key=lambda found: found.item_id
    )


def hold(connection: Connection, queue: Queue, worker_id: int, claims: Sequence[Claim]) -> list[Claim]:
    """Those of `claims` that are still this worker's; locked, so that they stay so until the transaction ends."""
    rows = connection.execute(_hold(queue), _fence(worker_id, claims)).all()
    held = {tuple(row) for row in rows}
    return [item for item in claims if (item.item_id, item.attempt) in held]


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
    rows = connection.execute(statement, parameters | (values or {}))
    settled = set(rows.scalars())
    return [item for item in claims if item.item_id in settled]


_MOVE = {"event": Text, "to_state": Text, "error": Text, "delay": Double, "uncharged": SmallInteger}


def _move(machine: StateMachine, item: Claim, outcome: Outcome) -> tuple[str, str, str | None, float, int]:
    """An outcome as the values of `_MOVE`."""
    event, error, delay, uncharged = outcome.event, None, 0.0, 0
    match outcome:
        case Done():
            pass
        case Release():
            uncharged = 1
        case Snooze(seconds, reason):
            error, delay, uncharged = reason, seconds, 1
        case Reject(reason):
            error = reason
        case Fail(reason):
            error = reason
        case Retry(reason, after_seconds):
            error = reason
            if item.last:
                event = "fail"
            else:
                delay = max(backoff_seconds(item.attempt), after_seconds)
    return event, machine.next_state(machine.working, event), error, delay, uncharged


def _fence(worker_id: int, claims: Sequence[Claim]) -> dict[str, Any]:
    return {
        "worker": worker_id,
        "item_ids": [item.item_id for item in claims],
        "attempts": [item.attempt for item in claims],
    }


def _array(name: str, kind: Any) -> ColumnElement[Any]:
    return cast(bindparam(name), ARRAY(kind))


@cache
def _hold(queue: Queue) -> Select[Any]:
    held = (
        func.unnest(_array("item_ids", BigInteger), _array("attempts", SmallInteger))
        .table_valued(column("item_id", BigInteger), column("attempt", SmallInteger))
        .render_derived(name="held")
    )
    return (
        select(queue.key, queue.table.c.attempt)
        .join(held, queue.key == held.c.item_id)
        .where(*_is_held(queue, held.c.attempt))
        .with_for_update(key_share=True, of=queue.table)
    )


def _is_held(queue: Queue, attempt: ColumnElement[Any]) -> tuple[ColumnElement[bool], ...]:
    """The fence."""
    return (
        queue.table.c.attempt == attempt,
        queue.table.c.worker_id == bindparam("worker", type_=Integer),
        queue.in_state(queue.machine.working),
    )


@cache
def _settle(queue: Queue, columns: tuple[str, ...], *, uniform: bool) -> Select[Any]:
    """The statement of `settle`; built once, because building it takes longer than running it."""
    table, machine = queue.table, queue.machine
    fence = [_array("item_ids", BigInteger), _array("attempts", SmallInteger)]
    names = [column("item_id", BigInteger), column("attempt", SmallInteger)]
    if uniform:
        held = func.unnest(*fence).table_valued(*names).render_derived(name="held")
        move: dict[str, ColumnElement[Any]] = {name: cast(bindparam(name), kind) for name, kind in _MOVE.items()}
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
            crashes=case((final, 0), else_=table.c.crashes),
            **{name: bindparam(name) for name in columns},
        )
        .returning(
            queue.key.label("item_id"),
            table.c.attempt,
            *(move[name].label(name) for name in ("event", "to_state", "error")),
        )
        .cte("moved")
    )
    logged = _log(
        queue,
        moved,
        moved.c.event,
        literal(machine.working),
        to_state=moved.c.to_state,
        worker_id=bindparam("worker", type_=Integer),
        detail=moved.c.error,
    )
    return select(moved.c.item_id).add_cte(logged)


def rescue(connection: Connection, queue: Queue, worker_id: int) -> int:
    """Return rows whose worker is gone: stopped, silent for a lease, or without its liveness lock; their number.

    A killed process's connection is closed by the kernel, which frees the lock, so its rows are back at once; the
    heartbeat is for machines that vanish without closing anything. Should a live worker lose its lock (its connection
    dropped), its rows are done twice, but its late results are refused by the fence. Rows that somebody has locked are
    about to be moved on and are left for the next time.
    """
    table, machine = queue.table, queue.machine
    lease = cast(f"{settings.lease_seconds()} seconds", INTERVAL)
    holders = select(table.c.worker_id).where(queue.in_state(machine.working)).distinct()
    dead = (
        select(Worker.worker_id)
        .where(
            Worker.worker_id.in_(holders),
            Worker.worker_id != worker_id,
            or_(
                Worker.stopped_at.is_not(None),
                Worker.heartbeat_at < func.clock_timestamp() - lease,
                func.pg_try_advisory_xact_lock(LIVENESS_LOCK, Worker.worker_id),
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
    logged = _log(queue, moved, event, literal(machine.working), to_state=moved.c.state, detail=moved.c.error)
    return connection.execute(select(func.count()).select_from(moved).add_cte(logged)).scalar_one()


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


def transition(
    connection: Connection,
    queue: Queue,
    event: str,
    state: str,
    which: ColumnElement[bool],
    values: dict[str, Any] | None = None,
) -> int:
    """Move every row in `state` that satisfies `which` on by `event`, claimed or not; their number.

    A worker that holds one of them loses it: its results will be refused. KeyError when the move is illegal.
    """
    table, machine = queue.table, queue.machine
    after = machine.next_state(state, event)
    moved = (
        update(table)
        .where(queue.in_state(state), which)
        .values(state=after, worker_id=None, **(values or {}))
        .returning(queue.key.label("item_id"), table.c.attempt)
        .cte("moved")
    )
    logged = _log(queue, moved, event, literal(state))
    return connection.execute(select(func.count()).select_from(moved).add_cte(logged)).scalar_one()


def _log(
    queue: Queue,
    moved: CTE,
    event: str | ColumnElement[str],
    before: ColumnElement[Any],
    *,
    to_state: ColumnElement[Any] | None = None,
    worker_id: ColumnElement[Any] | None = None,
    detail: ColumnElement[Any] | None = None,
) -> CTE:
    """The event rows of a transition, as part of its statement."""
    if isinstance(event, str):
        to_state, event = literal(queue.machine.next_state_of(event)), literal(event)
    if to_state is None:
        raise ValueError("an event that is an expression needs the state it leads to")
    return (
        insert(Event)
        .from_select(
            ["queue", "item_id", "attempt", "from_state", "to_state", "event", "worker_id", "detail"],
            select(
                literal(queue.name),
                moved.c.item_id,
                moved.c.attempt,
                before,
                to_state,
                event,
                cast(null(), Integer) if worker_id is None else worker_id,
                cast(null(), Text) if detail is None else detail,
            ),
        )
        .cte("logged")
    )
