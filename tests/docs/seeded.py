"""A small database with everything in it that the pages of docs/ ask SQL about, made by the project's own code.

Only the models are stood in for: vectors count words, and the student is a file. So every row has the form that real
use gives it, and a change of the schema or of a stage reaches these tests by itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rebase_db import queue
from rebase_db.distill.runs import Base, mark_distilled, request_run, write_metrics
from rebase_db.distill.student import MetricPoint
from rebase_db.embed.identity import EncoderIdentity
from rebase_db.evaluate.benchmark_file import read_benchmark
from rebase_db.evaluate.store import ItemPrediction, Score, register_benchmark, write_evaluation
from rebase_db.hashing import text_hash
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.ingest.source import OnError
from rebase_db.lease import Lease
from rebase_db.outcomes import Done
from rebase_db.task.load import load_task
from rebase_db.task.store import add_task
from workers.pipeline import Pipeline, register

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from rebase_db.distill.training_set import FrozenSet
    from rebase_db.embed.encoder import Encoder

WIDTH = 256

TICKETS = """\
{"text": "the courier never came with my parcel", "team": "shipping"}
{"text": "my card was charged twice for one order", "team": "payments"}
{"text": "you are all wonderful, thank you", "team": "praise"}
{"text": "the parcel came open and wet", "team": "shipping"
{"text": "please send the invoice for my order again", "team": "payments"}
"""
COPY = """\
{"text": "the courier never came with my parcel", "team": "shipping"}
"""
CHATS = """\
{"message": {"body": "where is the courier with my parcel"}, "topic": "delivery", "notes": null}
{"message": {"body": "my card was charged for an order I cancelled"}, "topic": "billing"}
"""
CHATS_LATER = """\
{"message": {"body": "the courier never came, where is my parcel"}, "topic": "delivery"}
{"message": {"body": "my card was charged twice, and my parcel never came"}, "topic": "billing"}
{"message": {"body": "the courier came with the parcel of my neighbour"}, "topic": "delivery"}
"""
RECIPES = {
    "title": ["Parcel of fish"],
    "steps": ["wrap the fish in paper and bake it"],
    "photo": [b"\x89PNG"],
}
TASK = """\
name: triage
instruction: Read a message to a shop and say which team should answer it.
labels: [billing, delivery]
examples:
  - input: the courier never came with my parcel
    output: delivery
  - input: my card was charged twice
    output: billing
retrieve: {top_n: 7}
teacher:
  provider: template
  rules:
    - columns: [text, team]
      input: "{{ text }}"
      output: "{{ team }}"
      labels: {payments: billing, shipping: delivery}
    - datasets: [chats]
      columns: [message.body, topic]
      input: "{{ row['message.body'] }}"
      output: "{{ topic }}"
"""
BENCHMARK = """\
{"id": "a", "input": "my card was charged twice for one order", "output": "billing"}
{"id": "b", "input": "the van drove past my house", "output": "delivery"}
"""


class WordCounter:
    """Stands in for an encoder: a text's vector counts its words, each in a place given by its hash."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), WIDTH), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                vector[int(hashlib.sha256(word.encode()).hexdigest(), 16) % WIDTH] += 1
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


class Silent:
    """A reporter without a screen, and its progress too."""

    @contextmanager
    def step(self, title: str) -> Iterator[Silent]:
        del title
        yield self

    def total(self, total: int | None) -> None:
        del total

    def done(self, done: int) -> None:
        del done

    def note(self, text: str) -> None:
        del text


def seed(engine: Engine, folder: Path) -> None:
    """Four datasets, a task, two training sets with a run each, and a benchmark the first run was measured on.

    `tickets` has a broken line and a row that also stands in `tickets-copy`; `recipes` fits no rule; `chats` grows
    between the two training sets.
    """
    _load(engine, _file(folder, "tickets.jsonl", TICKETS), "Messages to a shop, by team.", "CC-BY-4.0")
    _load(engine, _file(folder, "tickets-copy.jsonl", COPY), "Messages to a shop, collected again.", "CC0-1.0")
    _load(engine, _file(folder, "chats.jsonl", CHATS), "Chats with a shop.", "")
    pq.write_table(pa.table(RECIPES), folder / "recipes.parquet")
    _load(engine, folder / "recipes.parquet", "Dishes and how they are cooked.", "CC0-1.0")
    task = load_task(_file(folder, "task.yaml", TASK))
    identity = EncoderIdentity("word-counter", "local", text_hash("word-counter"), WIDTH, 128, "float32")
    with Lease(engine) as lease:
        steps = Pipeline(engine, lease, Silent(), task)
        # Under the names the pipeline keeps them by, so that it asks nobody for a model.
        vars(steps).update(encoder=cast("Encoder", WordCounter()), encoder_id=register(engine, identity))
        with engine.begin() as connection:
            stored = add_task(connection, task)
        for part, later in (("first", None), ("second", CHATS_LATER)):
            if later is not None:
                _load(engine, _file(folder, "chats.jsonl", later), "", "", split="later")
            steps.embed()
            steps.retrieve(stored)
            steps.transform(stored)
            frozen = steps.freeze(stored, f"triage-{part}")
            run_id = _train(engine, lease, frozen, folder / part)
            if later is None:
                _evaluate(engine, run_id, _file(folder, "held-out.jsonl", BENCHMARK))


def _file(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def _load(engine: Engine, path: Path, description: str, licence: str, split: str | None = None) -> None:
    sources = open_sources([str(path)], description=description, licence=licence, split=split, on_error=OnError.SKIP)
    for source in sources:
        load_dataset(engine, source)


def _train(engine: Engine, lease: Lease, frozen: FrozenSet, folder: Path) -> int:
    base = Base("small-base", "local", text_hash("small-base"))
    hyperparameters: dict[str, Any] = {"epochs": 1}
    with engine.begin() as connection:
        run_id = request_run(
            connection,
            frozen.training_set_id,
            student="classifier",
            base=base,
            hyperparameters=hyperparameters,
            seed=1,
        )
        (claim,) = queue.claim(connection, queue.DISTILL, lease.worker_id, 1)
    folder.mkdir()
    (folder / "student.json").write_text(json.dumps({"set": frozen.name}))
    with engine.begin() as connection:
        write_metrics(connection, claim, [MetricPoint(1, "loss", 0.7), MetricPoint(2, "loss", 0.4)])
        mark_distilled(connection, run_id)
        artifact = {"artifact_path": str(folder), "artifact_hash": text_hash(frozen.name)}
        done = [(claim, Done())]
        queue.settle(connection, queue.DISTILL, lease.worker_id, done, artifact | {"environment": {"device": "cpu"}})
    return run_id


def _evaluate(engine: Engine, run_id: int, path: Path) -> None:
    file = read_benchmark(path)
    answers = [ItemPrediction(item.position, "billing", 0.9, correct=item.output == "billing") for item in file.items]
    with engine.begin() as connection:
        benchmark_id = register_benchmark(connection, file, path.as_uri())
        score = Score(0, "accuracy", 0.5, 0.1, 0.9, 0.5, len(file.items))
        write_evaluation(connection, run_id, benchmark_id, score, answers)
