"""Our own job runner, on the queue of chunks of texts, with a stage that does nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sqlalchemy import text

from benchmarks.peers.system import System
from benchmarks.peers.worker import Options, measured, parse, ready, report_start
from rebase_db.database.engine import engine_for
from rebase_db.outcomes import Done
from rebase_db.queue import EMBED
from workers.stage import Result
from workers.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.queue import Claim, Lane

DATASET = """
INSERT INTO dataset (name, uri, licence, description_text_id, description_given, last_text_id)
VALUES ('numbers', 'file:numbers', 'CC0-1.0', 1, true, 1)
"""
TEXTS = """
INSERT INTO text (dataset_id, text_id, sha256, text)
SELECT 1, n, sha256(convert_to(n::text, 'UTF8')), n::text FROM generate_series(%(first)s::int, %(last)s::int) AS n
"""
ENCODER = """
INSERT INTO encoder (name, revision, weights_hash, width, max_tokens, precision)
SELECT 'none', count(*)::text, sha256('none'), 1, 1, 'float32' FROM encoder
RETURNING encoder_id
"""
CHUNKS = """
INSERT INTO embed_chunk (encoder_id, dataset_id, first_text_id, last_text_id, state)
SELECT %(encoder)s, 1, n, n, 'waiting' FROM generate_series(1, %(count)s::int) AS n
"""
EFFECTS = "INSERT INTO effect (item) SELECT unnest(CAST(:items AS bigint[]))"


class Rebase(System):
    """Ours in one migrated database."""

    name = "rebase"
    module = "benchmarks.peers.rebase"
    tables = ("embed_chunk", "event")

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._texts = 0
        self.encoder_id = 0

    def install(self) -> None:
        """Have a text for a chunk to refer to; the tables are there."""
        with self.connection.transaction():
            self.connection.execute(DATASET)
            self._add_texts(1)

    def enqueue(self, count: int) -> None:
        """Put in chunks of one text each, for an encoder of their own: a chunk is there once."""
        self._add_texts(count)
        with self.connection.transaction():
            self.encoder_id = self.number(ENCODER)
            self.connection.execute(CHUNKS, {"encoder": self.encoder_id, "count": count})

    def _add_texts(self, count: int) -> None:
        self.connection.execute(TEXTS, {"first": self._texts + 1, "last": count})
        self._texts = max(self._texts, count)

    def unfinished(self) -> int:
        """Chunks that are neither done nor given up."""
        return self.number("SELECT count(*) FROM embed_chunk WHERE state IN ('waiting', 'running')")


class Nothing:
    """A stage that does nothing."""

    queue = EMBED
    writers = 1
    alone = False
    finishes = False
    claiming = None

    def __init__(self, options: Options) -> None:
        self.batch = options.batch

    def prepare(self, lane: Lane) -> None:
        """Nothing to load."""

    def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:  # noqa: ARG002 - a stage is called so
        """The whole batch done."""
        yield Result([(item, Done()) for item in claims])

    def close(self) -> None:
        """Nothing to let go of."""


class Start(Nothing):
    """A stage that says when it has a batch."""

    def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:
        """Done, after saying so."""
        report_start()
        return super().handle(lane, claims)


class Effect(Nothing):
    """A stage that takes a while, and whose result is a row of `effect` for each chunk."""

    def __init__(self, options: Options, engine: Engine) -> None:
        super().__init__(options)
        self._work = options.work
        self._engine = engine

    def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:  # noqa: ARG002 - a stage is called so
        """Done, in the transaction that inserts its effects; then what had gone to others meanwhile into `late`."""
        threading.Event().wait(self._work * len(claims) / self.batch)
        written: list[int] = []

        def write(connection: Connection, held: Collection[int]) -> None:
            written[:] = held
            connection.execute(text(EFFECTS), {"items": written})

        yield Result([(item, Done()) for item in claims], write)
        if late := [item.item_id for item in claims if item.item_id not in written]:
            with self._engine.begin() as connection:
                connection.execute(text("INSERT INTO late SELECT unnest(CAST(:items AS bigint[]))"), {"items": late})


def work(options: Options) -> None:
    """Be a worker."""
    engine = engine_for(options.url)
    if options.mode == "drain":
        with measured() as done:
            drain = WorkerOptions(stages=[EMBED.stage], drain=True)
            # The end is that of the last batch: the worker then looks around for a while before it leaves.
            Worker(engine, drain, on_batch=lambda *_: done(), stages=lambda *_: [Nothing(options)]).run()
    else:
        stage = Start(options) if options.mode == "wake" else Effect(options, engine)
        ready()
        Worker(engine, WorkerOptions(stages=[EMBED.stage]), stages=lambda *_: [stage]).run()


if __name__ == "__main__":
    work(parse())
