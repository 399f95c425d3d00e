"""Asks for a task's work on the corpus that is there, and does none of it: run with the path of the task file."""

from __future__ import annotations

import sys
from pathlib import Path

from rebase_db.database.engine import open_engine
from rebase_db.embed.encoder import encoder_identity
from rebase_db.embed.plan import plan_chunks, register_encoder
from rebase_db.retrieve.run import request_retrieval
from rebase_db.task.load import load_task
from rebase_db.task.store import add_task


def ask(path: Path) -> None:
    """Store the task; queue the texts to embed and the ranking to compute, from which the rest follows."""
    file = load_task(path)
    identity = encoder_identity(file.retrieve.encoder)
    with open_engine().begin() as connection:
        task = add_task(connection, file)
        encoder_id = register_encoder(connection, identity)
        plan_chunks(connection, encoder_id)
        request_retrieval(
            connection,
            task.task_version_id,
            encoder_id,
            top_n=file.retrieve.top_n,
            scoring=file.retrieve.scoring,
            mirrors=file.retrieve.mirrors,
            exclude_datasets=file.retrieve.exclude_datasets,
        )


if __name__ == "__main__":
    ask(Path(sys.argv[1]))
