"""Small corpora with vectors, tasks, and retrievals of them, without an encoder.

A text's vector follows from the text alone. The exact kind has four components of ±1/2, so that every cosine is a
multiple of 1/4, sums are exact in any order and ties are many; the smooth kind is random.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sqlalchemy import func, insert, text, update

from rebase_db.embed.identity import EncoderIdentity
from rebase_db.embed.plan import plan_chunks, register_encoder
from rebase_db.embed.store import read_chunk, write_vectors
from rebase_db.hashing import content_hash
from rebase_db.ingest.load import load_dataset
from rebase_db.queue import Claim
from rebase_db.retrieve.run import compute_retrievals, read_requests, request_retrieval
from rebase_db.schema import Retrieval, Task, TaskVersion
from tests.load.sources import dataset_of, fetch, split_of
from tests.retrieve import reference

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.retrieve.run import Request

WIDTH = 16
DEFAULTS: dict[str, Any] = {"top_n": 10, "scoring": "average-score", "mirrors": "first", "exclude_datasets": []}


def exact_vector(value: str) -> NDArray[np.float32]:
    """A unit vector of four halves and twelve zeros."""
    generator = np.random.default_rng(list(hashlib.sha256(value.encode()).digest()))
    vector = np.zeros(WIDTH, np.float32)
    vector[generator.choice(WIDTH, 4, replace=False)] = generator.choice([-0.5, 0.5], 4)
    return vector


def smooth_vector(value: str) -> NDArray[np.float32]:
    """A random unit vector."""
    vector = np.random.default_rng(list(hashlib.sha256(value.encode()).digest())).normal(size=WIDTH)
    unit: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


@dataclass
class Corpus:
    """A database with an encoder in which texts have the vectors of `vector_of`."""

    engine: Engine
    vector_of: Callable[[str], NDArray[np.float32]] = exact_vector
    encoder_id: int = 0
    encoded: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        with self.engine.begin() as connection:
            identity = EncoderIdentity(self.vector_of.__name__, "1", bytes(32), WIDTH, 256, "float32")
            self.encoder_id = register_encoder(connection, identity)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Be the encoder that retrieval asks for query vectors."""
        self.encoded.append(list(texts))
        return np.stack([self.vector_of(value) for value in texts])

    def load(self, name: str, rows: Sequence[Mapping[str, str | None]], description: str = "") -> int:
        """Load, or grow, a dataset; its id."""
        return load_dataset(self.engine, dataset_of(name, split_of(rows), description=description)).dataset_id

    def embed(self) -> None:
        """Give every text its vector."""
        with self.engine.begin() as connection:
            plan_chunks(connection, self.encoder_id)
            waiting = connection.execute(text("SELECT embed_chunk_id FROM embed_chunk WHERE state = 'waiting'"))
            for chunk_id in waiting.scalars().all():
                chunk = read_chunk(connection, Claim(chunk_id, 1, last=False))
                write_vectors(connection, chunk, np.stack([self.vector_of(value) for value in chunk.texts]))
            connection.execute(
                text("UPDATE embed_chunk SET state = 'done', finished_at = now() WHERE state = 'waiting'")
            )

    def add_task(self, name: str, examples: int = 2) -> int:
        """A task of texts that follow from its name; its version."""
        pairs = [{"input": f"{name} input {place}", "output": f"{name} output {place}"} for place in range(examples)]
        with self.engine.begin() as connection:
            task_id = connection.execute(
                insert(Task).values(name=name, settings={}).returning(Task.task_id)
            ).scalar_one()
            return connection.execute(
                insert(TaskVersion)
                .values(
                    task_id=task_id,
                    version=1,
                    instruction=f"Do {name}.",
                    retrieval_instruction=f"Find {name}.",
                    examples=pairs,
                    retrieval_examples=pairs,
                    reasoning=False,
                    notes="",
                    content_hash=content_hash("test", name),
                )
                .returning(TaskVersion.task_version_id)
            ).scalar_one()

    def ask(self, version: int, **options: Any) -> int:
        """Request a retrieval; its id."""
        with self.engine.begin() as connection:
            return request_retrieval(connection, version, self.encoder_id, **(DEFAULTS | options))

    def compute(self, *retrieval_ids: int, finish: Callable[..., None] | None = None) -> None:
        """Compute retrievals in one pass and mark them done."""
        with self.engine.connect() as connection:
            requests = read_requests(connection, retrieval_ids)
        compute_and_finish(self.engine, requests, cast("Encoder", self), finish or mark_done)

    def retrieve(self, version: int, **options: Any) -> int:
        """Request a retrieval and compute it, if that was not done; its id."""
        retrieval_id = self.ask(version, **options)
        if fetch(self.engine, "SELECT state FROM retrieval WHERE retrieval_id = :id", id=retrieval_id) != [("done",)]:
            self.compute(retrieval_id)
        return retrieval_id

    def scored(self, version: int) -> list[reference.ScoredRow]:
        """The live rows as the reference scores them for a task."""
        ((examples, instruction),) = fetch(
            self.engine,
            "SELECT retrieval_examples, retrieval_instruction FROM task_version WHERE task_version_id = :version",
            version=version,
        )
        examples = [tuple(self._double(pair[side]) for side in ("input", "output")) for pair in examples]
        return reference.score(self.engine, self.encoder_id, examples, self._double(instruction))

    def _double(self, value: str) -> NDArray[np.float64]:
        return self.vector_of(value).astype(np.float64)

    def ranked(
        self,
        version: int,
        *,
        top_n: int = 10,
        scoring: str = "average-score",
        excluded: Collection[int] = (),
        drop_mirrors: bool = True,
    ) -> reference.Ranked:
        """The ranking as the reference has it; `excluded` are dataset ids."""
        rows = self.scored(version)
        return reference.rank(rows, top_n=top_n, scoring=scoring, excluded=excluded, drop_mirrors=drop_mirrors)


def mark_done(connection: Connection, request: Request, counts: dict[str, int | float | None]) -> None:
    """What a worker does at the end of a retrieval."""
    connection.execute(
        update(Retrieval)
        .where(Retrieval.retrieval_id == request.retrieval_id, Retrieval.state != "done")
        .values(state="done", finished_at=func.now(), **counts)
    )


def compute_and_finish(
    engine: Engine, requests: Sequence[Request], encoder: Encoder, finish: Callable[..., None] = mark_done
) -> None:
    """Compute retrievals in one pass and write each task's in a transaction of its own, as the runner does."""
    for scored in compute_retrievals(engine, requests, lambda: encoder):
        with engine.begin() as connection:
            counts = scored.write(connection, [request.retrieval_id for request in scored.requests])
            for request in scored.requests:
                finish(connection, request, counts[request.retrieval_id])


@dataclass(frozen=True)
class Link:
    """A link in the present ranking."""

    key: tuple[int, int]
    score: float
    parts: tuple[float, float, float]
    columns: tuple[int, int]


def links(engine: Engine, version: int) -> list[Link]:
    """The present ranking of a task, whose ranks are checked to count from 1."""
    rows = fetch(
        engine,
        "SELECT rank, dataset_id, row_id, score, input_score, output_score, dataset_score, input_column_id,"
        " output_column_id FROM retrieval_link WHERE task_version_id = :version AND displaced_by IS NULL ORDER BY rank",
        version=version,
    )
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    return [Link(row[1:3], row[3], row[4:7], row[7:9]) for row in rows]


def expected_links(ranked: reference.Ranked) -> list[Link]:
    """What `links` gives if the ranking is that of the reference."""
    return [
        Link(
            row.key,
            score,
            (row.input_score, row.output_score, row.dataset_score),
            (row.input_column, row.output_column),
        )
        for row, score in ranked.chosen
    ]
