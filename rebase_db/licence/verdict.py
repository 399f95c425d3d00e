"""What a task's own policy says of a training set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from rebase_db.licence.duties import duties_of_set
from rebase_db.licence.policy import Policy, Verdict, judge, named_findings
from rebase_db.schema import Task, TaskVersion, TrainingSet
from rebase_db.task.licences import Licences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


def policy_of_set(connection: Connection, training_set_id: int) -> Policy:
    """The licence policy of a set's task, as its file has it now."""
    settings = connection.execute(
        select(Task.settings).join(TaskVersion).join(TrainingSet).where(TrainingSet.training_set_id == training_set_id)
    ).scalar_one()
    return Licences.model_validate(settings.get("licences", {})).policy()


def verdict_on_set(connection: Connection, training_set_id: int) -> Verdict:
    """A set held against the policy of its task."""
    return judge(policy_of_set(connection, training_set_id), duties_of_set(connection, training_set_id))


def warnings(verdict: Verdict) -> Iterator[str]:
    """What whoever freezes or passes on the set should know, a line each."""
    if verdict.forbidden:
        yield f"Its task forbids licences in it, and an export will be refused: {named_findings(verdict.forbidden)}."
    if verdict.flagged:
        yield f"Look at the licences: {named_findings(verdict.flagged)}."
