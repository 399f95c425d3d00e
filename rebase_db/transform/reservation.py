"""Keeping to a budget: money is set aside by the transaction that claims rows, settled by the one that writes answers.

The budget's row serialises whoever spends for the task, so its limits hold across workers. What is set aside is the
most that a call can take; what it took is counted when it is settled. A call that nobody heard the end of (its worker
died, the row was taken from it, the server fell silent) counts in full, because the server may have done the work. So a
limit is never passed, at the price of ending a little below it.

Locks are taken in this order: links, the task, its budget, reservations. A claim, which comes to its links last, skips
those that are locked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, text, update

from rebase_db import queue, settings
from rebase_db.queue import TRANSFORM
from rebase_db.schema import Budget, Reservation, RetrievalLink, Task, TaskVersion
from rebase_db.sql import named
from rebase_db.transform.provider import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from sqlalchemy import Connection

    from rebase_db.queue import Claim, Lane, Place
    from rebase_db.transform.provider import Reply

Weigh = Callable[["Connection", "Sequence[Claim]"], "Mapping[int, Usage]"]
"""The most that asking for each claimed row can take, by link; those without a call are left out."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one call took, or None when nobody knows: for a link's attempt, or (None) for a judge."""

    link_id: int
    attempt: int | None
    usage: Usage | None


@dataclass(slots=True)
class _Room:
    """What is left of a budget; None is no limit."""

    cost: Decimal | None
    tokens: int | None

    def take(self, most: Usage) -> bool:
        """Whether `most` still fits; if so it is taken."""
        tokens = tokens_of(most)
        if self.tokens is not None and tokens > self.tokens:
            return False
        if self.cost is not None and (most.cost is None or most.cost > self.cost):
            return False
        if self.tokens is not None:
            self.tokens -= tokens
        if self.cost is not None and most.cost is not None:
            self.cost -= most.cost
        return True


def claim_within(
    connection: Connection, worker_id: int, lane: Lane, limit: int, after: Place, weigh: Weigh
) -> tuple[list[Claim], bool]:
    """Claim rows of a lane as far as its task's budget goes, and set aside what they can take.

    Nothing is claimed when not even the next row can be paid for; if no call is under way that could free something,
    the budget is marked as exhausted. Commit before working on the rows.

    Returns:
        The claims, and whether there are none because enough examples are accepted.
    """
    task_id = _lock_budget(connection, lane[0])
    if task_id is None:
        return queue.claim(connection, TRANSFORM, worker_id, limit, lane, after), False
    left = _sweep(connection, task_id)
    accepted, in_hand = _counts(connection, lane) if left.examples is not None else (0, 0)
    if left.examples is not None:
        limit = min(limit, left.examples - accepted - in_hand)
        if limit <= 0:
            return [], accepted >= left.examples
    while limit:
        savepoint = connection.begin_nested()
        claims = queue.claim(connection, TRANSFORM, worker_id, limit, lane, after)
        most = weigh(connection, claims)
        limit = _fitting(claims, most, _Room(left.cost, left.tokens))
        if limit == len(claims):
            savepoint.commit()
            attempts = {each.item_id: each.attempt for each in claims}
            _set_aside(connection, task_id, worker_id, {key: (attempts[key], usage) for key, usage in most.items()})
            # Not with what a judge sets aside: whoever finds the budget open and exhausted again would ask it again.
            connection.execute(
                update(Budget)
                .where(Budget.task_id == task_id, Budget.exhausted_at.is_not(None))
                .values(exhausted_at=None)
            )
            return claims, False
        # Not claimed and handed back, which would put them behind all others and leave two events each.
        savepoint.rollback()
    if not left.holding:
        _exhaust(connection, task_id)
    return [], False


def exhaust_if_full(connection: Connection, lane: Lane) -> None:
    """Mark the budget as exhausted if as many examples as it allows are accepted.

    For when they have been compared with each other: until then some may yet fail, and others be wanted.
    """
    task_id = _lock_budget(connection, lane[0])
    if task_id is None:
        return
    examples = connection.execute(select(Budget.max_examples).where(Budget.task_id == task_id)).scalar_one()
    if examples is not None and _counts(connection, lane)[0] >= examples:
        _exhaust(connection, task_id)


def lane_has_room(connection: Connection, lane: Lane) -> bool:
    """Whether a lane has rows that wait and, if its task's examples are limited, wants more of them."""
    waiting = (
        select(RetrievalLink.link_id)
        .where(TRANSFORM.in_lane(lane), TRANSFORM.eligible, TRANSFORM.in_state(TRANSFORM.machine.ready))
        .limit(1)
    )
    if connection.execute(waiting).first() is None:
        return False
    examples = connection.execute(
        select(Budget.max_examples)
        .join(TaskVersion, TaskVersion.task_id == Budget.task_id)
        .where(TaskVersion.task_version_id == lane[0])
    ).scalar_one_or_none()
    return examples is None or _counts(connection, lane)[0] < examples


def reserve(connection: Connection, task_version_id: int, worker_id: int, most: Mapping[int, Usage]) -> list[int]:
    """Set aside what calls of a judge can take, by link, as far as the budget goes; the links it goes for."""
    task_id = _lock_budget(connection, task_version_id)
    if task_id is None:
        return list(most)
    left = _sweep(connection, task_id)
    room = _Room(left.cost, left.tokens)
    fitting = {link_id: (None, usage) for link_id, usage in most.items() if room.take(usage)}
    _set_aside(connection, task_id, worker_id, fitting)
    return list(fitting)


def settle(connection: Connection, task_version_id: int, worker_id: int, spent: Sequence[Spent]) -> None:
    """Count what calls took, in the transaction that writes what came of them; nothing for a task without a budget.

    Where something was spent, the task must be locked by then, by `write_answers.sql` or `lock_task`.
    """
    task_id = _lock_budget(connection, task_version_id)
    if task_id is None or not spent:
        return
    connection.execute(
        text(named("settle_reservations")),
        {
            "task_id": task_id,
            "worker_id": worker_id,
            "link_ids": [each.link_id for each in spent],
            "attempts": [each.attempt for each in spent],
            "tokens": [None if each.usage is None else tokens_of(each.usage) for each in spent],
            "costs": [None if each.usage is None else each.usage.cost for each in spent],
        },
    )


def lock_task(connection: Connection, task_version_id: int) -> None:
    """Keep a task's first budget from being set until this transaction ends, see `budget.set_budget`."""
    connection.execute(
        select(Task.task_id)
        .join(TaskVersion)
        .where(TaskVersion.task_version_id == task_version_id)
        .with_for_update(key_share=True, read=True, of=Task)
    )


def spent_on(reply: Reply) -> Usage | None:
    """What a call took as far as a budget is concerned; None when nobody knows."""
    if reply.maybe_billed:
        return None
    if reply.error is not None:
        return Usage(0, 0)
    if reply.usage.prompt_tokens is None or reply.usage.completion_tokens is None:
        return None
    return reply.usage


def tokens_of(usage: Usage) -> int:
    """Tokens of prompt and answer together."""
    return (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)


def _lock_budget(connection: Connection, task_version_id: int) -> int | None:
    return connection.execute(
        select(Budget.task_id)
        .join(TaskVersion, TaskVersion.task_id == Budget.task_id)
        .where(TaskVersion.task_version_id == task_version_id)
        .with_for_update(of=Budget)
    ).scalar_one_or_none()


def _sweep(connection: Connection, task_id: int) -> Any:
    """What is left of a budget, after counting what is lost."""
    lease = f"{settings.lease_seconds()} seconds"
    return connection.execute(text(named("sweep_reservations")), {"task_id": task_id, "lease": lease}).one()


def _counts(connection: Connection, lane: Lane) -> tuple[int, int]:
    """Rows of a lane that are accepted, and in somebody's hands; in one statement, so that none is in neither."""
    state = RetrievalLink.state
    accepted = func.count().filter(state.in_(["transformed", "distilled"]))
    in_hand = func.count().filter(state == "transforming")
    row = connection.execute(select(accepted, in_hand).where(TRANSFORM.in_lane(lane), TRANSFORM.eligible)).one()
    return row[0], row[1]


def _fitting(claims: Sequence[Claim], most: Mapping[int, Usage], room: _Room) -> int:
    """How many claims, from the first in the order of claiming, the room suffices for."""
    for number, claim in enumerate(sorted(claims, key=lambda each: each.place)):
        if claim.item_id in most and not room.take(most[claim.item_id]):
            return number
    return len(claims)


def _set_aside(
    connection: Connection, task_id: int, worker_id: int, most: Mapping[int, tuple[int | None, Usage]]
) -> None:
    if not most:
        return
    connection.execute(
        insert(Reservation),
        [
            {
                "task_id": task_id,
                "worker_id": worker_id,
                "link_id": link_id,
                "attempt": attempt,
                "cost": usage.cost,
                "tokens": tokens_of(usage),
            }
            for link_id, (attempt, usage) in most.items()
        ],
    )
    usages = [usage for _, usage in most.values()]
    connection.execute(
        update(Budget)
        .where(Budget.task_id == task_id)
        .values(
            held_tokens=Budget.held_tokens + sum(map(tokens_of, usages)),
            held_cost=Budget.held_cost + sum(usage.cost or 0 for usage in usages),
        )
    )


def _exhaust(connection: Connection, task_id: int) -> None:
    connection.execute(
        update(Budget)
        .where(Budget.task_id == task_id, Budget.exhausted_at.is_(None))
        .values(exhausted_at=func.clock_timestamp())
    )
