"""A small database with everything in it that the pages of docs/ ask SQL about, made by the project's own code.

Only the models are stood in for: vectors count words, and the student is a file. So every row has the form that real
use gives it, and a change of the schema or of a stage reaches these tests by itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import insert, select

from rebase_db import queue
from rebase_db.check.example import ExampleChecker
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
from rebase_db.retract import retraction
from rebase_db.schema import Dataset, LikelySource, Publication, PublishedExample, Task
from rebase_db.task.load import load_task
from rebase_db.task.store import add_task
from rebase_db.transform import budget
from rebase_db.transform.provider import Limits, Reply, ResponseForm
from rebase_db.transform.teacher import make_teacher
from workers.models import Teaching
from workers.pipeline import Pipeline, register
from workers.spending import set_limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from rebase_db.distill.training_set import FrozenSet
    from rebase_db.embed.encoder import Encoder
    from rebase_db.transform.provider import Messages, Request

WIDTH = 256
WORD_COUNTER = EncoderIdentity("word-counter", "local", text_hash("word-counter"), WIDTH, 128, "float32")

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
  - input: the courier with my parcel never came
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
CALLS = """\
{"call": "the lift is stuck and I am in it"}
{"call": "the lift is stuck and I am in it"}
{"call": "when is the lift looked after next"}
{"call": "..."}
"""
CALLS_TASK = """\
name: urgency
instruction: Say whether a caller needs help now or can wait.
labels: [now, later]
examples:
  - input: there is smoke in the lift
    output: now
  - input: the light in the lift flickers
    output: later
retrieve: {top_n: 4, mirrors: all, exclude_datasets: ["tickets*", chats, recipes]}
teacher: &model
  provider: openai
  base_url: http://teacher.test/v1
  model: rewriter
  input_price: 1
  output_price: 2
checks:
  judge:
    model: *model
    points: 4
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


class Scripted:
    """Stands in for a language model, as teacher and as judge; makes nothing of a row without words.

    Its first reply to a row with a question does not come in time, and may have been billed.
    """

    identity: ClassVar[dict[str, Any]] = {
        "provider": "openai",
        "model": "rewriter",
        "endpoint": "http://teacher.test/v1",
        "sampling": {"temperature": 0.0},
    }
    limits = Limits(100, 8192, 4, input_price=Decimal(1), output_price=Decimal(2))

    def __init__(self) -> None:
        self._in_time = False

    def count_tokens(self, messages: Messages) -> int:
        return sum(len(message["content"].split()) for message in messages)

    def most_tokens(self, messages: Messages) -> int:
        return sum(len(message["content"].encode()) for message in messages)

    def ask(self, requests: Iterable[Request], schema: Mapping[str, Any], name: str) -> Iterator[Reply]:
        del schema
        for request in requests:
            if "when" in request.messages[1]["content"].splitlines()[-2] and not self._in_time:
                self._in_time = True
                yield Reply(request.key, None, 0.01, error="no answer", retry_after=0.0, maybe_billed=True)
                continue
            data = json.loads(request.messages[1]["content"].splitlines()[-2])
            text = json.dumps(self._judged(data) if name == "judgement" else self._rewritten(data))
            usage = self.limits.usage(self.count_tokens(request.messages), len(text.split()))
            form = ResponseForm.JSON_SCHEMA
            yield Reply(request.key, text, 0.01, finish_reason="stop", usage=usage, response_form=form)

    def close(self) -> None:
        pass

    def _rewritten(self, row: Mapping[str, str]) -> dict[str, str]:
        words = row["call"].strip(".")
        return {"input": words, "output": "now" if "stuck" in words else "later"}

    def _judged(self, example: Mapping[str, str]) -> dict[str, Any]:
        if example["output"] == "now":
            return {"reason": "Somebody is shut in, and the output says so.", "points": 5}
        return {"reason": "It is a question, not a call for help.", "points": 3}


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
    """Two tasks, five datasets, and of the first task two training sets with a run each, one measured on a benchmark.

    `tickets` has a broken line and a row that also stands in `tickets-copy`; `recipes` fits no rule; `chats` grows
    between the two training sets. The benchmark is known only when the first run is done: the second set does without
    the example that copies it. At the end a row is withdrawn, and somebody else's examples are registered.
    """
    _load(engine, _file(folder, "tickets.jsonl", TICKETS), "Messages to a shop, by team.", "CC-BY-4.0")
    _load(engine, _file(folder, "tickets-copy.jsonl", COPY), "Messages to a shop, collected again.", "CC0-1.0")
    _load(engine, _file(folder, "chats.jsonl", CHATS), "Chats with a shop.", "")
    pq.write_table(pa.table(RECIPES), folder / "recipes.parquet")
    _load(engine, folder / "recipes.parquet", "Dishes and how they are cooked.", "CC0-1.0")
    task = load_task(_file(folder, "task.yaml", TASK))
    with Lease(engine) as lease:
        steps = Pipeline(engine, lease, Silent(), task)
        # Under the names the pipeline keeps them by, so that it asks nobody for a model.
        vars(steps).update(encoder=cast("Encoder", WordCounter()), encoder_id=register(engine, WORD_COUNTER))
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
        _ask_a_model(engine, lease, folder)
    _withdraw_and_publish(engine)


def _ask_a_model(engine: Engine, lease: Lease, folder: Path) -> None:
    """A task with a language model, a judge and a budget; two of its rows are alike, and one has no words."""
    _load(engine, _file(folder, "calls.jsonl", CALLS), "Calls from people about a lift.", "CC-BY-4.0")
    task = load_task(_file(folder, "urgency.yaml", CALLS_TASK))
    steps = Pipeline(engine, lease, Silent(), task)
    model = Scripted()
    teaching = Teaching(task, make_teacher(task, lambda _: model), ExampleChecker(task))
    encoder = cast("Encoder", WordCounter())
    vars(steps).update(encoder=encoder, encoder_id=register(engine, WORD_COUNTER), teaching=teaching)
    vars(steps.models).update(provider=lambda _: model)
    with engine.begin() as connection:
        stored = add_task(connection, task)
    steps.embed()
    steps.retrieve(stored)
    set_limits(engine, task, budget.Limits(cost=Decimal("0.02"), tokens=50_000), lift=False)
    steps.transform(stored)


def _withdraw_and_publish(engine: Engine) -> None:
    """A row that the second set has learned from is withdrawn; somebody has published two examples of the task."""
    with engine.begin() as connection:
        asked = retraction.Request("row", "chats:default/later:1", "its writer asked for it", "support")
        retraction.retract(connection, asked)
        dataset_id = connection.execute(select(Dataset.dataset_id).where(Dataset.name == "tickets")).scalar_one()
        task_id = connection.execute(select(Task.task_id).where(Task.name == "triage")).scalar_one()
        publication = {"task_id": task_id, "name": "triage-paper", "form": "examples", "uri": "file:p", "files": {}}
        publication_id = connection.execute(
            insert(Publication).values(publication | {"code_version": "0"}).returning(Publication.publication_id)
        ).scalar_one()
        for position, method, confidence in ((1, "stated", 1.0), (2, "words", 0.75)):
            words = {"input": f"message {position}", "output": "billing", "content_hash": text_hash(str(position))}
            example_id = connection.execute(
                insert(PublishedExample)
                .values(publication_id=publication_id, position=position, **words)
                .returning(PublishedExample.published_example_id)
            ).scalar_one()
            source = {"dataset_id": dataset_id, "row_id": position, "method": method, "confidence": confidence}
            connection.execute(insert(LikelySource).values(published_example_id=example_id, evidence={}, **source))


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
