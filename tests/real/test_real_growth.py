"""The corpus in one go and in ten random instalments with retrieval between them: the same rankings of every task."""

from __future__ import annotations

import json
import random
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from sqlalchemy import func, insert, select, text, update

from benchmarks.instalments import part_of
from rebase_db.database.copy import copy_in
from rebase_db.database.engine import engine_for
from rebase_db.embed.identity import EncoderIdentity
from rebase_db.embed.plan import plan_chunks, register_encoder
from rebase_db.embed.store import EMBEDDING_COLUMNS, embedding_tuples
from rebase_db.hashing import content_hash
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.retrieve.query_vectors import ensure_query_vectors
from rebase_db.retrieve.run import read_requests, request_retrieval
from rebase_db.schema import EmbedChunk, Task, TaskVersion, TextValue
from tests.conftest import cloned_database
from tests.load.sources import fetch
from tests.real.brute_force import ReferenceEncoder
from tests.retrieve.corpus import compute_and_finish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.ingest.source import SourceDataset
    from tests.real.conftest import PublishedVectors

pytestmark = [pytest.mark.real_data, pytest.mark.slow, pytest.mark.timeout(900)]

TOP_N = 3000
SCORINGS = ("average-score", "average-rank", "max-rank")
INSTALMENTS = 10
LINKS = """\
SELECT dataset_id, row_id, content_hash, score, input_score, output_score, dataset_score
FROM retrieval_link JOIN source_row USING (dataset_id, row_id)
WHERE task_version_id = :version AND displaced_by IS NULL ORDER BY rank"""
SCORES = """\
SELECT task_version_id, dataset_id, dataset_score, row_ids, input_scores, output_scores, input_columns, output_columns
FROM row_score ORDER BY 1, 2"""


class World:
    """A database with all tasks and the published vectors."""

    def __init__(self, engine: Engine, published: PublishedVectors, tasks: dict[str, Any]) -> None:
        self.engine = engine
        self.published = published
        self.encoder = cast("Encoder", ReferenceEncoder())
        with engine.begin() as connection:
            identity = EncoderIdentity("published", "1", bytes(32), 384, 256, "float32")
            self.encoder_id = register_encoder(connection, identity)
            self.versions = [add_task(connection, name, task) for name, task in tasks.items()]
        ensure_query_vectors(engine, lambda: self.encoder, self.encoder_id, self.versions)

    def embed(self) -> int:
        """Give what is not embedded its published vector; the number of texts."""
        done = 0
        with self.engine.begin() as connection:
            plan_chunks(connection, self.encoder_id)
            columns = EmbedChunk.dataset_id, EmbedChunk.first_text_id, EmbedChunk.last_text_id
            waiting = connection.execute(select(*columns).where(EmbedChunk.state == "waiting")).all()
            for dataset_id, first, last in waiting:
                query = select(TextValue.text_id, TextValue.sha256).where(TextValue.dataset_id == dataset_id)
                texts = connection.execute(query.where(TextValue.text_id.between(first, last))).all()
                places = [self.published.places[bytes(digest)] for _, digest in texts]
                vectors = self.published.vectors[places].astype(np.float32)
                buffer = embedding_tuples(dataset_id, self.encoder_id, [text_id for text_id, _ in texts], vectors)
                copy_in(connection, "embedding", EMBEDDING_COLUMNS, [buffer])
                done += len(texts)
            connection.execute(update(EmbedChunk).values(state="done", finished_at=func.now()))
        return done

    def retrieve(self, scoring: str, top_n: int = TOP_N) -> int:
        """Rank for all tasks together, if that was not done; how many rows were scored anew, for each."""
        options: dict[str, Any] = {"top_n": top_n, "scoring": scoring, "mirrors": "first", "exclude_datasets": []}
        with self.engine.begin() as connection:
            asked = [request_retrieval(connection, version, self.encoder_id, **options) for version in self.versions]
            requests = read_requests(connection, asked)
        if fetch(self.engine, "SELECT state FROM retrieval WHERE retrieval_id = :id", id=asked[0]) == [("done",)]:
            return 0
        compute_and_finish(self.engine, requests, self.encoder)
        anew = "SELECT sum(scored) FROM retrieval_dataset WHERE retrieval_id = ANY(:asked) GROUP BY retrieval_id"
        ((number,), *others) = fetch(self.engine, anew, asked=asked)
        assert {(number,)} >= set(others)
        return int(number)

    def rankings(self) -> list[list[Any]]:
        return [fetch(self.engine, LINKS, version=version) for version in self.versions]


def add_task(connection: Any, name: str, task: dict[str, Any]) -> int:
    parts = ("instruction", "retrieval_instruction", "examples", "retrieval_examples")
    version = {part: task[part] for part in parts} | {"version": 1, "reasoning": False, "notes": ""}
    task_id = connection.execute(insert(Task).values(name=name, settings={}).returning(Task.task_id)).scalar_one()
    version |= {"task_id": task_id, "content_hash": content_hash("test", version)}
    return int(
        connection.execute(insert(TaskVersion).values(version).returning(TaskVersion.task_version_id)).scalar_one()
    )


def instalments(sources: list[SourceDataset]) -> Iterator[list[SourceDataset]]:
    """Each dataset comes at a random time, every third of them row by row from then on."""
    chance = random.Random(6)  # noqa: S311
    begins = {source.name: chance.randrange(INSTALMENTS) for source in sources}
    by_rows = {source.name for source in sources if chance.random() < 1 / 3}
    for number in range(INSTALMENTS):
        parts = []
        for source in chance.sample(sources, len(sources)):
            begin = begins[source.name]
            if source.name in by_rows and number >= begin:
                parts.append(part_of(source, (number - begin + 1) / (INSTALMENTS - begin)))
            elif number == begin:
                parts.append(source)
        yield [part for part in parts if part is not None]


def same_but_for_ties(first: list[Any], second: list[Any]) -> int:
    """Which of tied rows comes first, and is in at the cut, goes by ids, and those by which was loaded first.

    Returns how many rows or groups of tied rows were compared.
    """
    assert [row[3:] for row in first] == [row[3:] for row in second]

    def groups(rows: list[Any]) -> list[list[bytes]]:
        tied = groupby(rows, key=lambda row: (row[3], row[4] + row[5] + row[6]))
        return [sorted(bytes(row[2]) for row in members) for _, members in tied]

    assert groups(first)[:-1] == groups(second)[:-1]
    return len(groups(first)) - 1


def test_one_go_and_ten_instalments_give_the_same_rankings(
    real_data: Path, server_url: str, template_database: str, published: PublishedVectors
) -> None:
    tasks = json.loads((real_data / "tasks.json").read_text(encoding="utf-8"))
    sources = list(open_sources([str(real_data / "corpus")]))
    with (
        cloned_database(server_url, template_database) as url,
        cloned_database(server_url, template_database) as other_url,
    ):
        whole, grown = (World(engine_for(each), published, tasks) for each in (url, other_url))
        for source in sources:
            load_dataset(whole.engine, source)
        texts, rows = whole.embed(), 0
        embedded = scored = 0
        for number, parts in enumerate(instalments(sources)):
            for part in parts:
                load_dataset(grown.engine, part)
            embedded += grown.embed()
            # Of fewer rows, but for the last, which is what takes the time.
            top_n = TOP_N if number + 1 == INSTALMENTS else TOP_N // 10
            scored += grown.retrieve(SCORINGS[number % 3], top_n)
        for scoring in SCORINGS:
            rows = max(rows, whole.retrieve(scoring))
            scored += grown.retrieve(scoring)
            compared = 0
            for first, second in zip(whole.rankings(), grown.rankings(), strict=True):
                assert len(first) == len({row[2] for row in first}) == TOP_N
                compared += same_but_for_ties(first, second)
            assert compared > TOP_N / 10 * len(tasks)  # in some tasks thousands tie
        # Each text was embedded once, and each row scored once for a task.
        assert (embedded, scored) == (texts, rows)
        # And scored anew, all at once, they are the same to the bit, ties and all.
        before = fetch(grown.engine, SCORES), grown.rankings()
        with grown.engine.begin() as connection:
            connection.execute(text("DELETE FROM row_score"))
            # So that it is asked for again: otherwise, and never computed.
            other: dict[str, Any] = {"top_n": 1, "scoring": SCORINGS[0], "mirrors": "all", "exclude_datasets": []}
            for version in grown.versions:
                request_retrieval(connection, version, grown.encoder_id, **other)
        assert grown.retrieve(SCORINGS[-1]) == rows
        assert (fetch(grown.engine, SCORES), grown.rankings()) == before
        whole.engine.dispose()
        grown.engine.dispose()
