"""A database with a true history, made by the workers' own code with models in memory: a record in every table."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select, text

from rebase_db import queue
from rebase_db.check.example import ExampleChecker
from rebase_db.check.run import Tools, check_examples
from rebase_db.distill.runs import Base as BaseModel
from rebase_db.distill.runs import mark_distilled, request_run, write_metrics
from rebase_db.distill.student import MetricPoint, artifact_hash
from rebase_db.distill.training_set import freeze
from rebase_db.embed.plan import plan_chunks
from rebase_db.evaluate import metrics
from rebase_db.evaluate.benchmark_file import read_benchmark
from rebase_db.evaluate.store import ItemPrediction, Score, register_benchmark, write_evaluation
from rebase_db.hashing import content_hash
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.source import LeftOutColumn, RejectedRow
from rebase_db.lease import Lease
from rebase_db.outcomes import Done
from rebase_db.queue import FIRST_PLACE
from rebase_db.retract.retraction import Request, retract
from rebase_db.retrieve.run import request_retrieval
from rebase_db.schema import Dataset, Example
from rebase_db.task.file import TaskFile
from rebase_db.task.store import add_task
from rebase_db.transform.budget import Limits, set_budget
from rebase_db.transform.language_model import LanguageModelTeacher
from rebase_db.transform.provider import Usage
from tests.load.sources import dataset_of, split_of
from tests.retrieve.corpus import Corpus, smooth_vector
from tests.schema.chain import add
from tests.transform.fake_provider import FakeProvider, said
from workers.models import Teaching
from workers.runner import Runner, drain
from workers.stages.embed import EmbedStage
from workers.stages.retrieve import RetrieveStage
from workers.stages.transform import TransformStage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

    from rebase_db.task.store import StoredTask
    from rebase_db.transform.provider import Reply
    from rebase_db.transform.provider import Request as Asked

LABELS = ["fruit", "tool"]
WORDS = ["apple", "hammer", "pear", "saw", "plum", 'a "b" \\ c\tü\U0001f600\x7f\x01', "drill", "melon"]
JUDGE = {"provider": "openai", "model": "judge", "base_url": "http://judge/v1"}


def task_file(**fields: Any) -> TaskFile:
    plain = {
        "name": "things",
        "instruction": "Say what it is.",
        "labels": LABELS,
        "examples": [{"input": "eat a banana", "output": "fruit"}, {"input": "use a spanner", "output": "tool"}],
        "checks": {"judge": {"model": JUDGE}, "similar_to_benchmark": {"action": "off"}},
    }
    return TaskFile.model_validate(plain | fields)


class Encoder(Corpus):
    """A corpus whose texts' vectors follow from them; of no text there is none."""

    def encode(self, texts: Any) -> NDArray[np.float32]:
        return np.stack([self.vector_of(value) for value in texts])


def answer(request: Asked, schema: Mapping[str, Any]) -> Reply:
    """Answers with a word of the row; a judge's question with points; badly where the row is of a saw."""
    if "points" in schema["properties"]:
        reply = json.dumps({"points": 4, "reason": "it fits"})
    else:
        row = request.messages[-1]["content"].rpartition("<source_row>")[2]
        word = next((word for word in WORDS if word.split()[0] in row), "thing")
        reply = "no" if word == "saw" else json.dumps({"input": f"What is {word} {request.key}?", "output": "fruit"})
    return said(request, reply, usage=Usage(11, 7, None))


@dataclass(frozen=True)
class History:
    """What was made."""

    engine: Engine
    task: StoredTask
    encoder_id: int
    training_set_id: int
    training_run_id: int
    artifact: Path

    @property
    def lane(self) -> tuple[int, int]:
        return self.task.task_version_id, self.encoder_id


def load(corpus: Corpus, name: str, words: list[str], *, gone: bool = False, match: str | None = None) -> None:
    """Load a dataset of words; some of it is left out."""
    rows = [{"word": word, "kind": LABELS[len(word) % 2]} for word in words]
    split = split_of(
        rows,
        keys=[f"k{place}" for place in range(len(rows))],
        left_out=[LeftOutColumn("picture", "binary")] if gone else [],
        rejected=[RejectedRow("test", 99, 100, "word", "not a word")] if gone else [],
    )
    read = replace(split, uri=f"file:{name}", rows=len(rows) + gone)
    load_dataset(
        corpus.engine, dataset_of(name, read, description=f"About {name}.", licence="MIT" if gone else ""), match=match
    )


def write_history(engine: Engine, folder: Path) -> History:
    """From datasets to a score and newer releases; a displaced link, a judge, a budget, a retraction, an import."""
    corpus = Encoder(engine, smooth_vector)
    load(corpus, "words", [*WORDS, *WORDS[:3]], gone=True)
    load(corpus, "things", ["chisel", "grape"])
    file = task_file()
    with engine.begin() as connection:
        task = add_task(connection, file)
    with Lease(engine) as lease:
        steps = Steps(engine, lease, corpus, file, task)
        steps.rank(exclude_datasets=["th*"], top_n=7)
        load(corpus, "words", [*WORDS, *WORDS[:3], "axe"])
        load(corpus, "more", ["axe", "pliers", "lemon", "plum"])
        steps.rank(exclude_datasets=["th*"], top_n=9)
        steps.transform(dying=True)
        set_id, run_id, artifact = steps.distil(folder)
        steps.leave(folder, run_id)
    # By key: one row changes, one goes, one comes. By content: as much.
    load(corpus, "more", ["hatchet", "pliers", "lemon"])
    load(corpus, "words", [*WORDS, *WORDS[:2], "quince", "axe", "axe"], match="content")
    return History(engine, task, corpus.encoder_id, set_id, run_id, artifact)


@dataclass(frozen=True)
class Steps:
    """The stages, as workers do them."""

    engine: Engine
    lease: Lease
    corpus: Encoder
    file: TaskFile
    task: StoredTask

    @property
    def lane(self) -> tuple[int, int]:
        return self.task.task_version_id, self.corpus.encoder_id

    def rank(self, **options: Any) -> int:
        encoder_id = self.corpus.encoder_id
        plain = {"scoring": "average-score", "mirrors": "first", "exclude_datasets": []}
        with self.engine.begin() as connection:
            plan_chunks(connection, encoder_id)
            number = request_retrieval(connection, self.task.task_version_id, encoder_id, **(plain | options))
        drain(self.engine, self.lease, EmbedStage(self.engine, lambda _: self.corpus), [(encoder_id,)])  # type: ignore[arg-type,return-value]
        stage = RetrieveStage(self.engine, lambda _: self.corpus)  # type: ignore[arg-type,return-value]
        drain(self.engine, self.lease, stage, [(encoder_id,)])
        return number

    def transform(self, *, dying: bool = False) -> None:
        """Have the model answer; with `dying`, another worker dies with a row in hand."""
        provider = FakeProvider(answer)
        with self.engine.begin() as connection:
            set_budget(connection, self.task.name, Limits(tokens=10**6))
        teaching = Teaching(self.file, LanguageModelTeacher(self.file, provider), ExampleChecker(self.file))
        tools = Tools(lambda _: provider, lambda: self.corpus)  # type: ignore[arg-type,return-value]
        stage = TransformStage(self.engine, self.lease, tools.stopping, lambda _: teaching)
        Runner(self.engine, self.lease, stage, tools.stopping).run_batch(self.lane, 4)
        if dying:
            with self.engine.begin() as connection:
                self.orphan(connection)
        Runner(self.engine, self.lease, stage, tools.stopping).run_batch(self.lane)
        check_examples(self.engine, self.lease.worker_id, self.lane, self.file, tools)

    def orphan(self, connection: Connection) -> None:
        claims = queue.claim(connection, queue.TRANSFORM, self.lease.worker_id, 1, self.lane, FIRST_PLACE)
        connection.execute(
            text(
                "INSERT INTO reservation (task_id, worker_id, link_id, attempt, tokens)"
                " SELECT task_id, :worker, :link, :attempt, 5 FROM budget"
            ),
            {"worker": self.lease.worker_id, "link": claims[0].item_id, "attempt": claims[0].attempt},
        )
        connection.execute(text("UPDATE budget SET held_tokens = held_tokens + 5"))

    def distil(self, folder: Path) -> tuple[int, int, Path]:
        with self.engine.begin() as connection:
            frozen = freeze(connection, *self.lane, self.task.name)
            base = BaseModel("base", "1", bytes(32))
            values = {"learning_rate": 0.0001, "epochs": 3, "warmup_ratio": 0.1}
            run_id = request_run(
                connection, frozen.training_set_id, student="classifier", base=base, hyperparameters=values, seed=1
            )
            claims = queue.claim(connection, queue.DISTILL, self.lease.worker_id, 1)
        artifact = folder / "artifact"
        (artifact / "deep").mkdir(parents=True)
        (artifact / "README.md").write_text("# Card\n")
        (artifact / "deep" / "weights").write_bytes(bytes(range(256)))
        with self.engine.begin() as connection:
            write_metrics(connection, claims[0], [MetricPoint(1, "loss", 0.5), MetricPoint(2, "loss", 0.25)])
            mark_distilled(connection, run_id)
            made = {"artifact_path": str(artifact), "artifact_hash": artifact_hash(artifact), "environment": {"a": 1}}
            queue.settle(connection, queue.DISTILL, self.lease.worker_id, [(claims[0], Done())], made)
        return frozen.training_set_id, run_id, artifact

    def leave(self, folder: Path, run_id: int) -> None:
        """A score, a retraction, and data others published."""
        path = folder / "items.jsonl"
        items = [{"input": f"a {word}", "output": LABELS[place % 2]} for place, word in enumerate(WORDS[:5])]
        path.write_text("".join(json.dumps(item) + "\n" for item in items))
        benchmark = read_benchmark(path)
        answers = [
            ItemPrediction(item.position, "Fruit ", 0.9, metrics.same("fruit", item.output)) for item in benchmark.items
        ]
        correct = sum(each.correct for each in answers)
        low, high = metrics.wilson_interval(correct, len(answers))
        gold = [item.output for item in benchmark.items]
        score = Score(0, "accuracy", correct / len(answers), low, high, metrics.majority_share(gold), len(answers))
        with self.engine.begin() as connection:
            benchmark_id = register_benchmark(connection, benchmark, str(path))
            write_evaluation(connection, run_id, benchmark_id, score, answers)
        with self.engine.begin() as connection:
            retract(connection, Request("dataset", "things", "withdrawn by its owner", "me"))
            retract(connection, Request("row", "words:0", "a person asked", "me"))
        with self.engine.begin() as connection:
            self.publish(connection)

    def publish(self, connection: Connection) -> None:
        examples = connection.execute(select(Example.example_id).order_by(Example.example_id)).scalars().all()
        add(connection, "example_parent", example_id=examples[1], parent_id=examples[0])
        dataset_id = connection.execute(select(Dataset.dataset_id).where(Dataset.name == "words")).scalar_one()
        task_id = connection.execute(text("SELECT task_id FROM task")).scalar_one()
        row = {"dataset_id": dataset_id, "row_id": 1}
        named = {"name": "p", "form": "rebase", "uri": "file:p", "files": {}, "code_version": "0"}
        publication = add(connection, "publication", task_id=task_id, **named)
        key = {"publication_id": publication["publication_id"]}
        add(connection, "published_rank", rank=1, score=0.5, row_reference={"row": 1}, **key, **row)
        words = {"input": WORDS[5], "output": "fruit"}
        digest = content_hash("published_example/v1", words)
        made = add(connection, "published_example", position=1, content_hash=digest, **words, **key)
        number = made["published_example_id"]
        add(
            connection, "likely_source", published_example_id=number, method="words", confidence=0.5, evidence={}, **row
        )


@contextmanager
def as_superuser(connection: Connection) -> Iterator[None]:
    """No trigger fires and no key is checked, as for a superuser who wants it so; undone with the block."""
    savepoint = connection.begin_nested()
    try:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield
    finally:
        savepoint.rollback()
