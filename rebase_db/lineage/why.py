"""Why an example exists: everything between it and its source row, and where it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from rebase_db.reference import find
from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection


def why(connection: Connection, example_id: int) -> dict[str, Any]:
    """The chain of one example, flat, by the column names of `why.sql`, and lists of what there may be several of.

    `raw_answer` is the answer it was read out of, also where that was given to an earlier call (`reused_from`).
    `margin` is by how much the row made the cut of its retrieval, whichever way its scoring counts. The lists are
    `checks`, `went`, `mirrors`, `retractions` (of the row, also those undone) and `family` (examples it was made from
    and that were made from it). `removed_at`, `removed_by`, `became` and `previous` say what later loads found of the
    row, and which row it was before. Of what is erased the text is empty or None, and `…erased_by` says by which
    retraction.

    Raises:
        UnknownNameError: There is no such example.
    """
    row = connection.execute(text(named("why")), {"example_id": example_id}).mappings().one_or_none()
    if row is None:
        # Says which there are.
        find(connection, f"example:{example_id}")
        raise RuntimeError(f"the lineage of example {example_id} is broken; `rebase verify` says where")
    found = dict(row)
    found["margin"] = _margin(row["scoring"], row["score"], row["cutoff_score"])
    of_row = {"dataset_id": row["dataset_id"], "row_id": row["row_id"]}
    found |= connection.execute(text(named("releases_of_row")), of_row).mappings().one()
    for name, query, of in (
        ("checks", "checks_of_example", {"example_id": example_id}),
        ("went", "where_it_went", {"example_id": example_id}),
        ("family", "family_of_example", {"example_id": example_id}),
        ("mirrors", "mirrors_of", of_row),
        ("retractions", "retractions_of_row", of_row),
    ):
        found[name] = [dict(each) for each in connection.execute(text(named(query)), of).mappings()]
    return found


def _margin(scoring: str, score: float, cutoff: float | None) -> float | None:
    if cutoff is None:
        return None
    # Ranks are the better the lower.
    return score - cutoff if scoring == "average-score" else cutoff - score


def first_example_of(connection: Connection, training_set_id: int) -> int:
    """The best ranked example of a training set."""
    from rebase_db.schema import TrainingSetMember

    return connection.execute(
        select(TrainingSetMember.example_id)
        .where(TrainingSetMember.training_set_id == training_set_id)
        .order_by(TrainingSetMember.position)
        .limit(1)
    ).scalar_one()
