"""The receipt of a retrieval: what it scored, what that did to the ranking, dataset by dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text

from rebase_db.schema import Retrieval
from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection


def newest_retrieval(connection: Connection, task_version_id: int, encoder_id: int) -> int | None:
    """The newest finished retrieval of a task version under an encoder."""
    newest = select(func.max(Retrieval.retrieval_id)).where(
        Retrieval.task_version_id == task_version_id, Retrieval.encoder_id == encoder_id, Retrieval.state == "done"
    )
    found: int | None = connection.execute(newest).scalar_one()
    return found


def read_receipt(connection: Connection, retrieval_id: int) -> dict[str, Any]:
    """What a finished retrieval did, by column of `retrieval`, the cut before it, and what it did to each dataset.

    `rows_kept` counts the rows that returned too, as in `retrieval`; of a dataset they are apart.
    """
    run = {"retrieval_id": retrieval_id}
    receipt = dict(connection.execute(text(named("retrieval_receipt")), run).mappings().one())
    datasets = connection.execute(text(named("retrieval_receipt_datasets")), run).mappings()
    return receipt | {"datasets": [dict(row) for row in datasets]}
