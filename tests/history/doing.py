"""The project's own code doing what a history wants, with models in memory.

Each step returns what the database then says of new records: their numbers, and nothing that a walk could tell.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import text

from rebase_db import queue
from rebase_db.check.example import ExampleChecker
from rebase_db.distill.runs import Base as BaseModel
from rebase_db.distill.runs import begin_run, mark_distilled, request_run
from rebase_db.embed.plan import plan_chunks
from rebase_db.errors import TrainingError
from rebase_db.ingest.load import load_dataset
from rebase_db.lease import Lease
from rebase_db.outcomes import Done, Fail
from rebase_db.retrieve.run import request_retrieval
from rebase_db.task.checks import Checks
from rebase_db.task.file import TaskFile
from rebase_db.task.store import add_task
from rebase_db.transform.language_model import LanguageModelTeacher
from tests.load.sources import dataset_of, split_of
from tests.retrieve.corpus import WIDTH, Corpus, exact_vector
from tests.transform.fake_provider import FakeProvider, said
from workers.models import Teaching
from workers.runner import Runner, drain
from workers.stages.embed import EmbedStage
from workers.stages.retrieve import RetrieveStage
from workers.stages.transform import TransformStage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from rebase_db.transform.provider import Reply, Request

TASK = "words"
WORD = re.compile(r"word-\d")
NO_CHECKS = {name: {"action": "off"} for name in Checks.model_fields if name != "judge"}


def answer_for(word: str, variant: str) -> tuple[str, str]:
    """Input and output of the example that the teacher makes of a row."""
    return f"say {word}{variant}", "yes"


class Encoder(Corpus):
    """Vectors that follow from texts; of no text, as in a chunk that was erased, none."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return super().encode(texts) if texts else np.empty((0, WIDTH), np.float32)


class Model(FakeProvider):
    """One of several teachers; what it answers is drawn."""

    def __init__(self, number: int, answers: Sequence[str]) -> None:
        super().__init__(self._reply)
        self.number = number
        self.answers = list(answers)

    @property
    def identity(self) -> dict[str, Any]:
        return super().identity | {"model": f"fake-{self.number}"}

    def _reply(self, request: Request, _: object) -> Reply:
        (word,) = set(WORD.findall(request.messages[-1]["content"].rpartition("<source_row>")[2]))
        kind = self.answers[len(self.asked) % len(self.answers)]
        if kind == "bad":
            return said(request, "I had rather not")
        if kind == "failed":
            return said(request, None, error="HTTP 400: no", finish_reason=None, response_form=None)
        input_, output = answer_for(word, kind)
        return said(request, json.dumps({"input": input_, "output": output}))


@dataclass
class Doing:
    """One database with one task, and a worker."""

    engine: Engine
    corpus: Corpus = field(init=False)
    lease: Lease = field(init=False)

    def __post_init__(self) -> None:
        self.corpus = Encoder(self.engine, exact_vector)
        self.lease = Lease(self.engine)
        self.lease.__enter__()
        self.files: dict[int, TaskFile] = {}
        self.answered = 0

    def close(self) -> None:
        self.lease.__exit__(None, None, None)
        self.engine.dispose()

    def read(self, query: str, **values: Any) -> list[Any]:
        """Rows of a query."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), values)]

    def load(self, name: str, licence: str, words: Sequence[str]) -> int:
        """Load a dataset as its source has it now; its number."""
        source = dataset_of(name, split_of([{"word": word} for word in words]), description=name, licence=licence)
        return load_dataset(self.engine, source, match="index").dataset_id

    def add_version(self, number: int) -> int:
        """A new version of the task."""
        file = TaskFile.model_validate(
            {
                "name": TASK,
                "instruction": "Say the word.",
                "notes": f"Version {number}.",
                "examples": [{"input": "say a word", "output": "yes"}],
                "checks": NO_CHECKS,
            }
        )
        with self.engine.begin() as connection:
            version = add_task(connection, file).task_version_id
        self.files[version] = file
        return version

    def rank(self, version: int, **options: Any) -> list[tuple[int, int, int, int, bool]]:
        """Retrieve; of all links of the version their number, row and rank, and whether they are in the ranking."""
        encoder_id = self.corpus.encoder_id
        with self.engine.begin() as connection:
            plan_chunks(connection, encoder_id)
            request_retrieval(connection, version, encoder_id, scoring="average-score", **options)
        encoder: Any = self.corpus
        drain(self.engine, self.lease, EmbedStage(self.engine, lambda _: encoder), [(encoder_id,)])
        drain(self.engine, self.lease, RetrieveStage(self.engine, lambda _: encoder), [(encoder_id,)])
        query = (
            "SELECT link_id, dataset_id, row_id, rank, displaced_by IS NULL FROM retrieval_link"
            " WHERE task_version_id = :version"
        )
        return self.read(query, version=version)

    def transform(self, version: int, limit: int, teacher: int, answers: Sequence[str]) -> list[Any]:
        """Have a batch answered; of each new call its link, outcome, example, what that says, and the link that was
        answered the same before."""
        file, stopping = self.files[version], threading.Event()
        teaching = Teaching(file, LanguageModelTeacher(file, Model(teacher, answers)), ExampleChecker(file))
        stage = TransformStage(self.engine, self.lease, stopping, lambda _: teaching)
        Runner(self.engine, self.lease, stage, stopping).run_batch((version, self.corpus.encoder_id), limit)
        stage.close()
        calls = self.read(
            "SELECT call.generation_id, call.link_id, call.outcome, example_id, input, output, before.link_id"
            " FROM generation AS call LEFT JOIN example USING (generation_id)"
            " LEFT JOIN generation AS before ON before.generation_id = call.reused_from"
            " WHERE call.generation_id > :answered ORDER BY call.generation_id",
            answered=self.answered,
        )
        self.answered = max([self.answered, *(call[0] for call in calls)])
        return [call[1:] for call in calls]

    def ask_for_run(self, training_set: int, seed: int) -> int:
        """Ask for a training run; its number."""
        with self.engine.begin() as connection:
            return request_run(
                connection,
                training_set,
                student="classifier",
                base=BaseModel("base", "1", bytes(32)),
                hyperparameters={"epochs": 1},
                seed=seed,
            )

    def train(self, run: int, *, well: bool) -> str:
        """Claim a run that waits and end it; the state it is left in."""
        worker = self.lease.worker_id
        with self.engine.begin() as connection:
            (claim,) = queue.claim(connection, queue.DISTILL, worker, 1, (run,))
        with self.engine.begin() as connection:
            try:
                begin_run(connection, run)
            except TrainingError:
                queue.settle(connection, queue.DISTILL, worker, [(claim, Fail("retracted"))])
                return "refused"
        with self.engine.begin() as connection:
            if not well:
                queue.settle(connection, queue.DISTILL, worker, [(claim, Fail("no"))])
                return "failed"
            digest = sha256(f"artifact {run}".encode()).digest()
            made = {"artifact_path": f"run-{run}", "artifact_hash": digest, "environment": {}}
            mark_distilled(connection, run)
            queue.settle(connection, queue.DISTILL, worker, [(claim, Done())], made)
        return "done"
