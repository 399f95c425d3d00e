"""Databases in which work is asked for and not done yet: each stage's, made from the one before it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import yaml

from rebase_db.database.engine import engine_for
from rebase_db.embed import plan
from rebase_db.lease import Lease
from rebase_db.retrieve.query_vectors import ensure_query_vectors
from rebase_db.task.load import load_task
from rebase_db.task.store import add_task
from workers.pipeline import Pipeline, ingest_sources, open_task_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pytest

    from rebase_db.task.file import TaskFile

CHUNK_TEXTS = 12
"""So that the world's few texts are several chunks."""


class Silent:
    """A reporter that says nothing."""

    def step(self, _: str) -> AbstractContextManager[Any]:
        return nullcontext(self)

    def total(self, _: int | None) -> None: ...

    def done(self, _: int) -> None: ...

    def note(self, _: str) -> None: ...


def tasks_of(folder: Path) -> list[TaskFile]:
    """The world's task, and a second one of the same corpus, so that results could go to the wrong one."""
    second = yaml.safe_load((folder / "task.yaml").read_text()) | {
        "name": "is-it-food",
        "instruction": "Say whether the text is about something one can eat.",
    }
    second["retrieve"]["top_n"] = 40
    path = folder / "second.yaml"
    path.write_text(yaml.safe_dump(second, sort_keys=False))
    return [load_task(folder / "task.yaml"), load_task(path)]


def ask_embed(steps: list[Pipeline]) -> None:
    """The corpus is there; its texts are queued, and a retrieval of each task."""
    for each in steps:
        with each.engine.begin() as connection:
            add_task(connection, each.file)
    first = steps[0]
    ingest_sources(first.engine, Silent(), open_task_sources(first.file))
    for each in steps:
        each.ask_retrieval(each.stored())


def ask_retrieve(steps: list[Pipeline]) -> None:
    """The texts are embedded, and so are the tasks, which spares those who retrieve the encoder."""
    first = steps[0]
    first.embed()
    versions = [each.stored().task_version_id for each in steps]
    ensure_query_vectors(first.engine, lambda: first.encoder, first.encoder_id, versions)


def ask_transform(steps: list[Pipeline]) -> None:
    """The corpus is ranked, which queues its links."""
    for each in steps:
        each.retrieve(each.stored())


def ask_distill(steps: list[Pipeline]) -> None:
    """The links are transformed; a training run of each task is queued."""
    for each in steps:
        each.transform(each.stored())
        each.ask_distill(each.freeze(each.stored()))


ASK: dict[str, Callable[[list[Pipeline]], None]] = {
    "embed": ask_embed,
    "retrieve": ask_retrieve,
    "transform": ask_transform,
    "distill": ask_distill,
}


def make_ready(url: str, folder: Path, stage: str, patch: pytest.MonkeyPatch) -> None:
    """Take a database in which the stage before `stage` is asked for to where `stage` is."""
    engine = engine_for(url)
    with patch.context() as patched, Lease(engine) as lease:
        patched.setattr(plan, "CHUNK_TEXTS", CHUNK_TEXTS)
        ASK[stage]([Pipeline(engine, lease, Silent(), file) for file in tasks_of(folder)])
    engine.dispose()
