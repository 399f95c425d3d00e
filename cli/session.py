"""What commands begin with: a database, a lease, a pipeline for a task."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from rebase_db.task.file import TaskFile
    from workers.pipeline import Pipeline


def open_database() -> Engine:
    """The database, checked."""
    from rebase_db.database.engine import open_engine

    return open_engine()


@contextmanager
def pipeline(file: TaskFile, engine: Engine | None = None) -> Iterator[Pipeline]:
    """The steps of a task, under a lease that ends with the context."""
    from cli.output import TerminalReporter
    from rebase_db.lease import Lease
    from workers.pipeline import Pipeline

    engine = engine or open_database()
    with Lease(engine) as lease:
        steps = Pipeline(engine, lease, TerminalReporter(), file)
        with closing(steps):
            yield steps


@contextmanager
def task_pipeline(name: str) -> Iterator[Pipeline]:
    """The steps of a task that was added before."""
    from rebase_db.task.store import find_task_file

    engine = open_database()
    with engine.connect() as connection:
        file = find_task_file(connection, name)
    with pipeline(file, engine) as opened:
        yield opened
