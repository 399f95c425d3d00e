"""A whole round of growth for a task: from what its sources have now to a student that is trained on it and measured.

Each step does only what is missing, so a round that was stopped or killed goes on where it was; what it ends with is
counted from the tables, over the whole round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db.analytics.round import count_round, finished_rounds
from workers.pipeline import ingest_sources, open_task_sources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rebase_db.analytics.round import Finished, Round
    from rebase_db.distill.training_set import FrozenSet
    from rebase_db.ingest.source import SourceDataset
    from workers.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Grown:
    """What a round came to; where nothing has changed since the last one, that one's receipt."""

    changed: bool
    receipt: Round


def grow(steps: Pipeline, sources: Iterable[SourceDataset] = (), *, from_parent: bool = False) -> Grown:
    """Take a task through a round.

    Args:
        steps: Those of the task.
        sources: New ones beside those of the task file.
        from_parent: Start from the weights of the last round's student, on what is new to it; else from the base model,
            on the whole set.

    Raises:
        RebaseError: As the steps do.
    """
    task = steps.stored()
    steps.refuse_if_paused()
    measured = steps.file.evaluate is not None
    with steps.engine.connect() as connection:
        last = finished_rounds(connection, task.name, measured=measured)
    ingest_sources(steps.engine, steps.reporter, open_task_sources(steps.file), max_rows=steps.file.max_rows)
    ingest_sources(steps.engine, steps.reporter, sources, max_rows=steps.file.max_rows)
    steps.embed()
    steps.retrieve(task)
    steps.transform(task)
    training_set = steps.freeze(task)
    run = _train(steps, training_set, last[0] if last else None, from_parent=from_parent)
    if measured:
        steps.evaluate(run)
    lane = task.task_version_id, steps.encoder_id
    with steps.engine.connect() as connection:
        receipts = (count_round(connection, task.name, lane, each, training_set, run) for each in (*last, None))
        receipt = next(receipts)
        return Grown(changed=True, receipt=receipt) if receipt.moved else Grown(changed=False, receipt=next(receipts))


def _train(steps: Pipeline, training_set: FrozenSet, last: Finished | None, *, from_parent: bool) -> int:
    """The run on a set: the last round's, where that would learn nothing else."""
    if last is None:
        return steps.distill(training_set)
    if training_set.training_set_id == last.training_set_id and _as_before(steps, last):
        return last.run
    if not from_parent:
        return steps.distill(training_set)
    if not steps.has_new(training_set, last.run):
        return last.run
    return steps.distill(training_set, last.run)


def _as_before(steps: Pipeline, last: Finished) -> bool:
    """Whether the task file asks for the student that the last round has trained."""
    student = steps.file.student
    settings = {name: value for name, value in last.hyperparameters.items() if name != "trained_on"}
    return (last.student, last.base, settings) == (student.kind, student.base, steps.hyperparameters)
