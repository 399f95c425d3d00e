"""What a training set records of its choice: from which ranking, by which checks, what was taken, what was not and why.

Of the keys docs/growth.md has a table.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text

from rebase_db.schema import Retrieval, TaskVersion
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection

ACCEPTED = ("transformed", "distilled")
"""The states of links whose examples are taken."""


def describe_selection(
    connection: Connection,
    task_version_id: int,
    encoder_id: int,
    example_ids: Sequence[int],
    checks: Collection[str] | None,
) -> dict[str, Any]:
    """The record of a choice of examples from the present ranking; `checks` are the names of those that count."""
    lane = {"task_version_id": task_version_id, "encoder_id": encoder_id}
    links: dict[str, int] = dict(connection.execute(text(named("selection_links")), lane).all())
    # Accepted, but made from an example whose row is retracted.
    withdrawn = links.pop("accepted", 0) - len(example_ids)
    if withdrawn:
        links["retracted"] = links.get("retracted", 0) + withdrawn
    retrieval = select(func.max(Retrieval.retrieval_id)).where(
        Retrieval.task_version_id == task_version_id, Retrieval.encoder_id == encoder_id, Retrieval.state == "done"
    )
    defined = connection.execute(text(named("selection_checks")), lane)
    return {
        "encoder_id": encoder_id,
        "retrieval_id": connection.execute(retrieval).scalar_one(),
        "order": "rank",
        "states": list(ACCEPTED),
        "checks": {name: check_id for name, check_id in defined if checks is None or name in checks},
        **describe_chosen(connection, task_version_id, example_ids),
        "left_out": dict(sorted(links.items())),
    }


def describe_chosen(connection: Connection, task_version_id: int, example_ids: Sequence[int]) -> dict[str, Any]:
    """Chosen examples counted by the dataset of their row, and by label where the task has a label set."""
    by_dataset: Counter[str] = Counter()
    by_label: Counter[str] = Counter()
    found = connection.execute(text(named("selection_examples")), {"example_ids": list(example_ids)})
    for dataset, output, examples in found:
        by_dataset[dataset] += examples
        by_label[output] += examples
    labels = select(TaskVersion.labels).where(TaskVersion.task_version_id == task_version_id)
    has_labels = connection.execute(labels).scalar_one() is not None
    return {"datasets": dict(by_dataset), **({"labels": dict(by_label)} if has_labels else {})}
