"""What a task may spend, as people set it and see it; `rebase_db.transform.reservation` keeps to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Select, func, insert, select, text, update

from rebase_db.control import wake
from rebase_db.schema import Budget, Reservation, Task, TaskVersion
from rebase_db.sql import named

if TYPE_CHECKING:
    from decimal import Decimal

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Limits:
    """What a task may take in all, over all its versions; None is no limit."""

    cost: Decimal | None = None
    tokens: int | None = None
    examples: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Limits, and where the task stands: spent, and set aside for calls under way.

    `presumed_tokens` are those of `spent_tokens` that were counted at the most for calls nobody heard the end of.
    """

    limits: Limits
    spent_cost: Decimal
    spent_tokens: int
    held_cost: Decimal
    held_tokens: int
    presumed_tokens: int
    exhausted: bool


def set_budget(connection: Connection, task: str, limits: Limits) -> None:
    """Set those limits of a task that are not None; what it has spent before counts.

    A limit may be set below what is spent: then nothing more is.
    """
    task_id = connection.execute(select(Task.task_id).where(Task.name == task)).scalar_one()
    known = select(Budget.task_id).where(Budget.task_id == task_id)
    if connection.execute(known).first() is None:
        # Against calls that are just being written: they wait, and then find the budget to count against, or are waited
        # for and are in the sum (see `reservation.lock_task`). For the first budget only: who claims has the budget
        # locked before its changes of it have the task looked up, so both must not be taken the other way round.
        connection.execute(select(Task.task_id).where(Task.task_id == task_id).with_for_update())
        if connection.execute(known).first() is None:
            cost, tokens = connection.execute(text(named("spent_by_task")), {"task_id": task_id}).one()
            connection.execute(insert(Budget).values(task_id=task_id, spent_cost=cost, spent_tokens=tokens))
    asked = {"max_cost": limits.cost, "max_tokens": limits.tokens, "max_examples": limits.examples}
    changed = {name: value for name, value in asked.items() if value is not None}
    if changed:
        connection.execute(update(Budget).where(Budget.task_id == task_id).values(exhausted_at=None, **changed))
    wake(connection)


def drop_limits(connection: Connection, task: str) -> None:
    """Let a task spend without limit; what it spends is still counted."""
    connection.execute(
        update(Budget)
        .where(Budget.task_id == select(Task.task_id).where(Task.name == task).scalar_subquery())
        .values(max_cost=None, max_tokens=None, max_examples=None, exhausted_at=None)
    )
    wake(connection)


def read_budget(connection: Connection, task: str) -> BudgetState | None:
    """Where a task stands; None when it was never given a limit."""
    row = connection.execute(
        select(
            Budget.max_cost,
            Budget.max_tokens,
            Budget.max_examples,
            Budget.spent_cost,
            Budget.spent_tokens,
            Budget.held_cost,
            Budget.held_tokens,
            select(func.coalesce(func.sum(Reservation.spent_tokens), 0).cast(BigInteger))
            .where(Reservation.task_id == Budget.task_id, Reservation.presumed)
            .scalar_subquery(),
            Budget.exhausted_at,
        )
        .join(Task)
        .where(Task.name == task)
    ).one_or_none()
    if row is None:
        return None
    max_cost, max_tokens, max_examples, spent_cost, spent_tokens, held_cost, held_tokens, presumed, exhausted_at = row
    return BudgetState(
        Limits(max_cost, max_tokens, max_examples),
        spent_cost,
        spent_tokens,
        held_cost,
        held_tokens,
        presumed,
        exhausted_at is not None,
    )


def is_limited(connection: Connection, task_version_id: int) -> bool:
    """Whether a task version's task has any limit."""
    limited = (Budget.max_cost.is_not(None)) | (Budget.max_tokens.is_not(None)) | (Budget.max_examples.is_not(None))
    return connection.execute(_budget_of(task_version_id).where(limited)).first() is not None


def is_exhausted(connection: Connection, task_version_id: int) -> bool:
    """Whether not even one more row can be paid for."""
    return connection.execute(_budget_of(task_version_id).where(Budget.exhausted_at.is_not(None))).first() is not None


def _budget_of(task_version_id: int) -> Select[Any]:
    return (
        select(Budget.task_id)
        .join(TaskVersion, TaskVersion.task_id == Budget.task_id)
        .where(TaskVersion.task_version_id == task_version_id)
    )
