"""The whole of a task, step by step, in this process: what `rebase run` and the commands for single steps are made of.

Every step looks at the database first and does only what is missing, so a run that was stopped or killed anywhere goes
on where it was when it is started again, and a run of a finished task does nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rebase_db import queue
from rebase_db.check.example import ExampleChecker
from rebase_db.check.run import Checked, Tools, check_examples
from rebase_db.control import is_paused
from rebase_db.distill.runs import Base, read_run, request_run
from rebase_db.distill.training_set import FrozenSet, freeze
from rebase_db.embed.plan import plan_chunks, register_encoder, revive_chunks
from rebase_db.errors import RebaseError, TaskError
from rebase_db.evaluate.store import register_benchmark
from rebase_db.export.model_card import write_model_card
from rebase_db.ingest.load import load_dataset
from rebase_db.retrieve.run import request_retrieval, retrieval_counts
from rebase_db.task.store import StoredTask, add_task, find_task
from rebase_db.transform.budget import BudgetState, Limits, drop_limits, read_budget, set_budget
from rebase_db.transform.estimate import Estimate, estimate
from rebase_db.transform.reservation import lane_has_room
from rebase_db.transform.store import known_teacher, register_teacher, requeue_for, transform_counts
from rebase_db.transform.teacher import make_teacher
from workers.models import Models, Teaching
from workers.runner import drain
from workers.stages.distill import DistillStage
from workers.stages.embed import EmbedStage
from workers.stages.retrieve import RetrieveStage
from workers.stages.transform import TransformStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine

    from rebase_db.distill.student import MetricPoint
    from rebase_db.embed.encoder import Encoder, EncoderIdentity
    from rebase_db.evaluate.store import Score
    from rebase_db.ingest.receipt import Receipt
    from rebase_db.ingest.source import SourceDataset
    from rebase_db.lease import Lease
    from rebase_db.queue import Lane
    from rebase_db.task.file import TaskFile
    from workers.stage import Stage


class Progress(Protocol):
    """One step's progress, shown or not."""

    def total(self, total: int | None) -> None:
        """Say how much there is to do."""
        ...

    def done(self, done: int) -> None:
        """Say how much of it is done."""
        ...

    def note(self, text: str) -> None:
        """Say what is being done right now."""
        ...


class Reporter(Protocol):
    """Shows steps as they go."""

    def step(self, title: str) -> AbstractContextManager[Progress]:
        """A step begins; it ends with the context."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run has to tell."""

    task: StoredTask
    receipts: list[Receipt]
    encoder_id: int
    retrieval: dict[str, int]
    links: dict[str, int]
    training_set: FrozenSet
    training_run_id: int
    artifact_path: str
    score: Score | None


class Pipeline:
    """The steps of one task on one database, with one lease for all of them."""

    def __init__(self, engine: Engine, lease: Lease, reporter: Reporter, file: TaskFile) -> None:
        self.engine = engine
        self.lease = lease
        self.reporter = reporter
        self.file = file
        self.models = Models(engine)

    def close(self) -> None:
        """Let go of models."""
        self.models.close()

    @cached_property
    def encoder(self) -> Encoder:
        """The task's encoder, loaded once and only if something must be encoded."""
        from rebase_db.embed.encoder import load_encoder

        return load_encoder(self.file.retrieve.encoder)

    @cached_property
    def teaching(self) -> Teaching:
        """The task's teacher and checks."""
        return Teaching(self.file, make_teacher(self.file, self.models.provider), ExampleChecker(self.file))

    @cached_property
    def encoder_id(self) -> int:
        """The id of the task's encoder, whose identity is read without loading the model."""
        return register(self.engine, encoder_identity_of(self.file.retrieve.encoder))

    def run(self) -> Summary:
        """Everything from sources to score."""
        with self.engine.begin() as connection:
            task = add_task(connection, self.file)
        self.refuse_if_paused()
        receipts = ingest_sources(self.engine, self.reporter, open_task_sources(self.file), max_rows=self.file.max_rows)
        self.embed()
        retrieval = self.retrieve(task)
        links = self.transform(task)
        training_set = self.freeze(task)
        run_id = self.distill(training_set)
        score = self.evaluate(run_id) if self.file.evaluate is not None else None
        with self.engine.connect() as connection:
            artifact_path = read_run(connection, run_id).artifact_path or ""
        return Summary(task, receipts, self.encoder_id, retrieval, links, training_set, run_id, artifact_path, score)

    def stored(self) -> StoredTask:
        """The task as the database has it."""
        with self.engine.connect() as connection:
            return find_task(connection, self.file.name)

    def refuse_if_paused(self) -> None:
        """Nothing is done for a paused task, by anybody.

        Raises:
            RebaseError: The task is paused.
        """
        with self.engine.connect() as connection:
            paused = is_paused(connection, self.file.name)
        if paused:
            raise RebaseError(f"Task {self.file.name!r} is paused.", hint=f"`rebase resume {self.file.name}` goes on.")

    def embed(self) -> None:
        """Embed every text of the corpus that has no vector yet."""
        embed_corpus(self.engine, self.lease, self.reporter, self.encoder_id, lambda: self.encoder)

    def retrieve(self, task: StoredTask) -> dict[str, int]:
        """Rank the corpus for the task, unless that has been done for the corpus as it is; the retrieval's counts."""
        self.refuse_if_paused()
        with self.engine.begin() as connection:
            retrieval_id = self._request_retrieval(connection, task)
        stage = RetrieveStage(self.engine, lambda _: self.encoder)
        with self.reporter.step("Retrieve") as progress:
            progress.note("scoring every row")
            drain(self.engine, self.lease, stage, [(self.encoder_id,)])
        self.refuse_if_paused()  # since: then the retrieval waits
        with self.engine.connect() as connection:
            return retrieval_counts(connection, retrieval_id)

    def ask_retrieval(self, task: StoredTask) -> int:
        """Have workers embed what has no vector yet and rank the corpus for the task; the retrieval's id."""
        self.refuse_if_paused()
        with self.engine.begin() as connection:
            plan_chunks(connection, self.encoder_id)
            revive_chunks(connection, self.encoder_id)
            return self._request_retrieval(connection, task)

    def _request_retrieval(self, connection: Connection, task: StoredTask) -> int:
        asked = self.file.retrieve
        return request_retrieval(
            connection,
            task.task_version_id,
            self.encoder_id,
            top_n=asked.top_n,
            scoring=asked.scoring,
            mirrors=asked.mirrors,
            exclude_datasets=asked.exclude_datasets,
        )

    def transform(self, task: StoredTask) -> dict[str, int]:
        """Have the teacher answer for every link without an answer, as far as the budget goes; live links by state."""
        self.refuse_if_paused()
        lane = task.task_version_id, self.encoder_id
        teaching = self.teaching
        stopping = threading.Event()
        stage = TransformStage(
            self.engine, self.lease, stopping, lambda _: teaching, lambda _: self.check(task, stopping, wait=False)
        )
        with self.engine.begin() as connection:
            ids = register_teacher(connection, teaching.teacher.identity, teaching.teacher.prompt)
            requeue_for(connection, *lane, *ids)
        with self.reporter.step("Transform") as progress:

            def on_counts(counts: dict[str, int]) -> None:
                waiting = counts.get("retrieved", 0) + counts.get("transforming", 0)
                progress.total(sum(counts.values()))
                progress.done(sum(counts.values()) - waiting)
                self.refuse_if_paused()  # since: what is left waits

            drain(self.engine, self.lease, stage, [lane], on_counts, stopping)
            # Where examples are limited, others are wanted for those that are kept out.
            while self.check(task).decided.kept_out and not self._is_spent(task):
                drain(self.engine, self.lease, stage, [lane], on_counts, stopping)
        with self.engine.connect() as connection:
            return transform_counts(connection, *lane)

    def _is_spent(self, task: StoredTask) -> bool:
        """Whether nothing more is to be claimed for a task."""
        with self.engine.connect() as connection:
            return not lane_has_room(connection, (task.task_version_id, self.encoder_id))

    def failed_transform(self, task: StoredTask) -> str | None:
        """The error of a row of the task that failed for good."""
        with self.engine.connect() as connection:
            return queue.failure(
                connection, queue.TRANSFORM, queue.TRANSFORM.in_lane((task.task_version_id, self.encoder_id))
            )

    def limit(self, limits: Limits, *, lift: bool) -> None:
        """Set the task's limits, those that are given; first lift those that are set, if `lift`.

        Raises:
            TaskError: A cost is to be kept to that nobody can know.
        """
        teacher = self.file.teacher
        # By the task file: loading a language model to ask for its price could take minutes.
        unpriced = teacher is not None and teacher.provider != "template" and teacher.input_price is None
        if limits.cost is not None and unpriced:
            raise TaskError(
                f"What task {self.file.name!r} costs is not known, so no cost can be kept to.",
                hint="Give its teacher input_price and output_price (per million tokens), or limit its tokens.",
            )
        with self.engine.begin() as connection:
            if lift:
                drop_limits(connection, self.file.name)
            if limits != Limits():
                set_budget(connection, self.file.name, limits)

    def budget(self) -> BudgetState | None:
        """Where the task stands with its limits, if it has any."""
        with self.engine.connect() as connection:
            return read_budget(connection, self.file.name)

    def estimate(self, task: StoredTask, rows: int | None) -> Estimate:
        """What `transform` would take for all rows that wait, or for the first of them."""
        lane, teacher = (task.task_version_id, self.encoder_id), self.teaching.teacher
        with self.engine.connect() as connection:
            ids = known_teacher(connection, teacher.identity, teacher.prompt)
            return estimate(connection, lane, teacher, *ids, rows)

    def check(self, task: StoredTask, stopping: threading.Event | None = None, *, wait: bool = True) -> Checked:
        """Check the task's examples for what was not checked yet, and decide anew which are accepted.

        Once `stopping` is set, it ends as soon as it can. Without `wait`, what another process checks is left to that.
        """
        self.refuse_if_paused()
        self._benchmark_registered  # noqa: B018 - once
        return check_examples(
            self.engine,
            self.lease.worker_id,
            (task.task_version_id, self.encoder_id),
            self.file,
            Tools(self.models.provider, lambda: self.encoder, stopping or threading.Event(), wait),
        )

    @cached_property
    def _benchmark_registered(self) -> bool:
        """Let examples be held against the benchmark that the task's student will be measured on."""
        if self.file.evaluate is None:
            return False
        from rebase_db.evaluate.benchmark_file import read_benchmark

        path = self.file.evaluate.benchmark
        with self.engine.begin() as connection:
            register_benchmark(connection, read_benchmark(Path(path)), path)
        return True

    def freeze(self, task: StoredTask, name: str | None = None) -> FrozenSet:
        """Check what was not checked yet, and freeze the accepted examples."""
        self.check(task)
        with self.engine.begin() as connection:
            return freeze(connection, task.task_version_id, self.encoder_id, task.name, name=name)

    def distill(self, training_set: FrozenSet) -> int:
        """Train the student on a set, unless the same training was done; the run's id."""
        run_id = self.ask_distill(training_set)
        with self.reporter.step("Distill") as progress:

            def on_metric(point: MetricPoint) -> None:
                progress.note(f"step {point.step}: {point.name} {point.value:.4g}")

            stage = DistillStage(self.engine, self.lease, threading.Event(), on_metric)
            counts = drain(self.engine, self.lease, stage, [(run_id,)])
        _require_none_failed(self.engine, stage, (run_id,), counts, "training runs")
        with self.engine.connect() as connection:
            # Another worker, on another machine, may have trained it, and has written the card there.
            if Path(read_run(connection, run_id).artifact_path or "").is_dir():
                write_model_card(connection, run_id)
        return run_id

    def ask_distill(self, training_set: FrozenSet) -> int:
        """Have a worker train the student on a set, unless the same training was done; the run's id."""
        from rebase_db.distill.classifier import resolve_base

        self.refuse_if_paused()
        student = self.file.student
        _, revision, weights_hash = resolve_base(student.base, None)
        with self.engine.begin() as connection:
            return request_run(
                connection,
                training_set.training_set_id,
                student=student.kind,
                base=Base(student.base, revision, weights_hash),
                hyperparameters=student.model_dump(mode="json", exclude={"kind", "base"}),
                seed=student.seed,
            )

    def evaluate(self, training_run_id: int) -> Score:
        """Measure a run on the task's benchmark, unless that was done."""
        if self.file.evaluate is None:
            raise TaskError(
                f"Task {self.file.name!r} names no benchmark.",
                hint="Add `evaluate: {benchmark: items.jsonl}` to its file.",
            )
        from rebase_db.evaluate.run import evaluate_run

        with self.reporter.step("Evaluate"):
            score = evaluate_run(self.engine, training_run_id, self.file.evaluate.benchmark)
        with self.engine.connect() as connection:
            write_model_card(connection, training_run_id)
        return score


def encoder_identity_of(name: str) -> EncoderIdentity:
    """What an encoder's vectors depend on."""
    from rebase_db.embed.encoder import encoder_identity

    return encoder_identity(name)


def register(engine: Engine, identity: EncoderIdentity) -> int:
    """The encoder's id."""
    with engine.begin() as connection:
        return register_encoder(connection, identity)


def open_task_sources(file: TaskFile) -> Iterable[SourceDataset]:
    """The sources a task file names."""
    from rebase_db.ingest.open import open_sources

    return open_sources(file.sources, max_rows=file.max_rows)


def ingest_sources(
    engine: Engine,
    reporter: Reporter,
    sources: Iterable[SourceDataset],
    *,
    max_rows: int | None = None,
    match: str | None = None,
) -> list[Receipt]:
    """Load datasets one after the other, each whole."""
    receipts = []
    with reporter.step("Ingest") as progress:
        read = 0

        def on_rows(rows: int) -> None:
            nonlocal read
            read += rows
            progress.done(read)

        for source in sources:
            progress.note(source.name)
            receipts.append(load_dataset(engine, source, max_rows=max_rows, match=match, on_rows=on_rows))
    return receipts


def embed_corpus(
    engine: Engine, lease: Lease, reporter: Reporter, encoder_id: int, load_encoder: Callable[[], Encoder]
) -> None:
    """Embed what has no vector yet under an encoder."""
    with engine.begin() as connection:
        plan_chunks(connection, encoder_id)
        revive_chunks(connection, encoder_id)
    stage = EmbedStage(engine, lambda _: load_encoder())
    with reporter.step("Embed") as progress:

        def on_counts(counts: dict[str, int]) -> None:
            progress.total(sum(counts.values()))
            progress.done(counts.get("done", 0))

        progress.note("chunks of texts")
        counts = drain(engine, lease, stage, [(encoder_id,)], on_counts)
    _require_none_failed(engine, stage, (encoder_id,), counts, "chunks of texts")


def _require_none_failed(engine: Engine, stage: Stage, lane: Lane, counts: dict[str, int], what: str) -> None:
    failed = counts.get("failed", 0)
    if counts.get("cancelled", 0):
        raise RebaseError(f"{counts['cancelled']} {what} were cancelled.", hint="`rebase retry` takes them up again.")
    if failed:
        with engine.connect() as connection:
            error = queue.failure(connection, stage.queue, stage.queue.in_lane(lane))
        raise RebaseError(
            f"{failed} {what} failed for good, the first with: {error}", hint="Mend the cause and run this again."
        )
