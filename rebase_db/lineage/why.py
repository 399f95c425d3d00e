"""Why an example exists: everything between it and its source row, and where it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text

from rebase_db.errors import UnknownNameError
from rebase_db.schema import Example
from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection


def why(connection: Connection, example_id: int) -> dict[str, Any]:
    """The chain of one example, flat, by the column names of `why.sql`, with `checks`, `went` and `mirrors` as lists.

    `raw_answer` is the answer it was read out of, also where that was given to an earlier call (`reused_from`).

    Raises:
        UnknownNameError: There is no such example.
    """
    row = connection.execute(text(named("why")), {"example_id": example_id}).mappings().one_or_none()
    if row is None:
        low, high = connection.execute(select(func.min(Example.example_id), func.max(Example.example_id))).one()
        known = (
            f"Examples are numbered {low} to {high}."
            if low
            else "No example has been made yet: `rebase run TASK.yaml`."
        )
        raise UnknownNameError(f"There is no example {example_id}.", hint=known)
    found = dict(row)
    checks = connection.execute(text(named("checks_of_example")), {"example_id": example_id}).mappings()
    found["checks"] = [dict(check) for check in checks]
    went = connection.execute(text(named("where_it_went")), {"example_id": example_id}).mappings()
    found["went"] = [dict(place) for place in went]
    mirrors = connection.execute(
        text(named("mirrors_of")), {"dataset_id": row["dataset_id"], "row_id": row["row_id"]}
    ).mappings()
    found["mirrors"] = [dict(mirror) for mirror in mirrors]
    return found


def first_example_of(connection: Connection, training_set_id: int) -> int:
    """The best ranked example of a training set."""
    from rebase_db.schema import TrainingSetMember

    return connection.execute(
        select(TrainingSetMember.example_id)
        .where(TrainingSetMember.training_set_id == training_set_id)
        .order_by(TrainingSetMember.position)
        .limit(1)
    ).scalar_one()
