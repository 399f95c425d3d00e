"""What a task may spend, what it has spent, and what is still to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.errors import TaskError
from rebase_db.transform.budget import BudgetState, Limits, drop_limits, read_budget, set_budget
from rebase_db.transform.estimate import Estimate, estimate
from rebase_db.transform.store import known_teacher

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from rebase_db.queue import Lane
    from rebase_db.task.file import TaskFile
    from rebase_db.transform.teacher import Teacher


def set_limits(engine: Engine, file: TaskFile, limits: Limits, *, lift: bool) -> None:
    """Set the limits of a task, those that are given; first lift those that are set, if `lift`.

    Raises:
        TaskError: A cost is to be kept to that nobody can know.
    """
    teacher = file.teacher
    # By the task file: loading a language model to ask for its price could take minutes.
    unpriced = teacher is not None and teacher.provider != "template" and teacher.input_price is None
    if limits.cost is not None and unpriced:
        raise TaskError(
            f"What task {file.name!r} costs is not known, so no cost can be kept to.",
            hint="Give its teacher input_price and output_price (per million tokens), or limit its tokens.",
        )
    with engine.begin() as connection:
        if lift:
            drop_limits(connection, file.name)
        if limits != Limits():
            set_budget(connection, file.name, limits)


def budget_of(engine: Engine, file: TaskFile) -> BudgetState | None:
    """Where a task stands with its limits, if it has any."""
    with engine.connect() as connection:
        return read_budget(connection, file.name)


def estimate_lane(engine: Engine, lane: Lane, teacher: Teacher, rows: int | None) -> Estimate:
    """What the teacher would take for all rows of a lane that wait, or for the first of them."""
    with engine.connect() as connection:
        ids = known_teacher(connection, teacher.identity, teacher.prompt)
        return estimate(connection, lane, teacher, *ids, rows)
