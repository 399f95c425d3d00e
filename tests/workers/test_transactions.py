"""No transaction is open while a model works: it would hold locks, and keep the tables from being vacuumed."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.task.store import add_task
from rebase_db.task.teachers import TemplateTeacherSpec
from rebase_db.transform.template import TemplateTeacher
from tests.workers.ready import Silent, tasks_of
from tests.workers.test_idle import running
from tests.workers.world import OTHERS, Workshop, until
from workers.models import Models, Teaching
from workers.pipeline import Pipeline
from workers.stages.distill import DistillStage
from workers.stages.embed import EmbedStage
from workers.stages.retrieve import RetrieveStage
from workers.stages.transform import TransformStage
from workers.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from rebase_db.lease import Lease
    from rebase_db.task.file import TaskFile
    from rebase_db.transform.teacher import Answer, Prepared
    from tests.workers.conftest import Workshops
    from workers.stage import Stage


class Gate:
    """A place in the middle of a model's work, where it waits until the test has looked."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, *_: object) -> None:
        self.reached.set()
        assert self.open.wait(90)


class GatedEncoder:
    """An encoder that stops at the gate each time."""

    def __init__(self, encoder: Any, gate: Gate) -> None:
        self._encoder, self._gate = encoder, gate

    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        self._gate()
        vectors: NDArray[Any] = self._encoder.encode(texts)
        return vectors


class GatedTeacher(TemplateTeacher):
    """A teacher that stops at the gate after its first answer."""

    def __init__(self, spec: TemplateTeacherSpec, gate: Gate) -> None:
        super().__init__(spec)
        self._gate = gate

    def answer(self, prepared: Iterable[Prepared]) -> Iterator[Answer]:
        for answer in super().answer(prepared):
            yield answer
            self._gate()


def embed(workshop: Workshop, gate: Gate, *_: Any) -> Stage:
    models = Models(workshop.engine)
    return EmbedStage(workshop.engine, lambda encoder_id: GatedEncoder(models.encoder(encoder_id), gate))  # type: ignore[arg-type, return-value]


def retrieve(workshop: Workshop, gate: Gate, *_: Any) -> Stage:
    models = Models(workshop.engine)
    return RetrieveStage(workshop.engine, lambda encoder_id: GatedEncoder(models.encoder(encoder_id), gate))  # type: ignore[arg-type, return-value]


def transform(workshop: Workshop, gate: Gate, lease: Lease, stopping: threading.Event) -> Stage:
    models = Models(workshop.engine)

    def gated(version: int) -> Teaching:
        teaching = models.teaching(version)
        assert isinstance(teaching.file.teacher, TemplateTeacherSpec)
        return replace(teaching, teacher=GatedTeacher(teaching.file.teacher, gate))

    return TransformStage(workshop.engine, lease, stopping, gated)


def distill(workshop: Workshop, gate: Gate, lease: Lease, stopping: threading.Event) -> Stage:
    return DistillStage(workshop.engine, lease, stopping, gate)


def new_task(workshop: Workshop) -> TaskFile:
    """A task of which nothing is there yet."""
    changed = {"name": "a-third", "instruction": "Say whether it can be eaten."}
    return tasks_of(workshop.folder)[0].model_copy(update=changed)


@pytest.mark.parametrize("make", [embed, retrieve, transform, distill], ids=lambda make: make.__name__)
def test_none_is_open_while_the_model_works(
    workshops: Workshops, make: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, gate = make.__name__, Gate()
    with workshops.open(stage) as workshop:
        monkeypatch.setenv("REBASE_HOME", str(workshop.folder / "home"))
        if stage == "retrieve":
            # Of the others the query vectors are there.
            steps = Pipeline(workshop.engine, None, Silent(), new_task(workshop))  # type: ignore[arg-type]
            with workshop.engine.begin() as connection:
                add_task(connection, steps.file)
            steps.ask_retrieval(steps.stored())
        worker = Worker(
            workshop.engine, WorkerOptions([stage], drain=True), stages=lambda *its: [make(workshop, gate, *its)]
        )
        with running(worker) as thread:
            try:
                until(gate.reached.is_set, "the model works")
                held = f"SELECT query FROM pg_stat_activity WHERE {OTHERS} AND xact_start IS NOT NULL"  # noqa: S608
                # One that waits for the model stays open until the gate does; a heartbeat's is over in a moment.
                until(lambda: workshop.query(held) == [], "no transaction is open")
                assert workshop.query("SELECT 1 FROM event WHERE event = 'claim'"), "there was something in hand"
            finally:
                gate.open.set()
            until(lambda: not thread.is_alive(), "the rest is done")
        assert workshop.query("SELECT event, detail FROM event WHERE event IN ('retry', 'fail', 'rescue')") == []
