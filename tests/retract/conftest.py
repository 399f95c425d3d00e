"""A shop's database to retract from: two tasks, five datasets, mirrors, sets, runs and scores; a copy for each test."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import text

from rebase_db.database.engine import engine_for
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.lease import Lease
from rebase_db.retract import retraction
from rebase_db.retract.retraction import Request
from rebase_db.task.store import find_task_file
from tests.conftest import cloned_database
from tests.docs import seeded
from tests.docs.seeded import WORD_COUNTER, Silent, WordCounter
from workers.pipeline import Pipeline, register

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.ingest.receipt import Receipt
    from rebase_db.retract.report import Report


@dataclass(frozen=True)
class Shop:
    """The database, and what tests do to it."""

    engine: Engine
    url: str

    def rows(self, query: str, **values: Any) -> list[Any]:
        """Rows of a query, or of a statement that is committed and returns none."""
        with self.engine.begin() as connection:
            found = connection.execute(text(query), values)
            return list(found.all()) if found.returns_rows else []

    def one(self, query: str, **values: Any) -> Any:
        """The one value of a query."""
        ((value,),) = self.rows(query, **values)
        return value

    def retract(self, kind: str, said: str, *, mirrors: bool = False) -> Report:
        """Retract and commit."""
        with self.engine.begin() as connection:
            return retraction.retract(connection, request(kind, said, mirrors=mirrors))

    def preview(self, kind: str, said: str, *, mirrors: bool = False) -> Report:
        """What that would report."""
        with self.engine.connect() as connection:
            return retraction.preview(connection, request(kind, said, mirrors=mirrors))

    def undo(self, number: int) -> retraction.Undone:
        """Take a retraction back."""
        with self.engine.begin() as connection:
            return retraction.undo(connection, number, "it was a mistake")

    def load(self, path: Path, content: str, **options: Any) -> Receipt:
        """Write a file and load it."""
        path.write_text(content, encoding="utf-8")
        (source,) = open_sources([str(path)], **options)
        return load_dataset(self.engine, source)

    def retracted(self) -> list[tuple[str, int]]:
        """Dataset and row id of what is retracted; rows and links must agree."""
        table = "FROM {} JOIN dataset USING (dataset_id) WHERE retracted_at IS NOT NULL ORDER BY name, row_id"
        rows = self.rows("SELECT DISTINCT name, row_id " + table.format("source_row"))
        links = self.rows("SELECT DISTINCT name, row_id " + table.format("retrieval_link"))
        linked = self.rows("SELECT DISTINCT name, row_id FROM retrieval_link JOIN dataset USING (dataset_id)")
        assert links == [row for row in rows if row in linked]
        return [tuple(row) for row in rows]

    def ranking(self, task: str = "triage") -> list[tuple[str, int]]:
        """Dataset and row id of a task's live links, best ranked first."""
        query = """
            SELECT dataset.name, link.row_id
            FROM live_ranking AS live
            JOIN retrieval_link AS link USING (task_version_id, encoder_id)
            JOIN dataset USING (dataset_id)
            WHERE live.task = :task AND link.displaced_by IS NULL AND link.retracted_at IS NULL
            ORDER BY link.rank"""
        return [tuple(row) for row in self.rows(query, task=task)]

    @contextmanager
    def steps(self, task: str = "triage") -> Iterator[Pipeline]:
        """The steps of a task, without a model."""
        with self.engine.connect() as connection:
            file = find_task_file(connection, task)
        with Lease(self.engine) as lease:
            steps = Pipeline(self.engine, lease, Silent(), file)
            encoder = cast("Encoder", WordCounter())
            vars(steps).update(encoder=encoder, encoder_id=register(self.engine, WORD_COUNTER))
            yield steps

    def wait_for_a_lock(self) -> None:
        """Until somebody waits for an advisory lock."""
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
        query += " (SELECT oid FROM pg_database WHERE datname = current_database())"
        for _ in range(2000):
            if self.one(query):
                return
            threading.Event().wait(0.01)
        raise AssertionError("nobody waits")


def request(kind: str, said: str, *, mirrors: bool = False) -> Request:
    return Request(kind, said, "the owner objects", "a tester", mirrors)


@pytest.fixture(scope="session")
def shop_template(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the seeded database, to be cloned."""
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(seeded, "_withdraw_and_publish", lambda _: None)  # nothing is retracted yet
            seeded.seed(engine, tmp_path_factory.mktemp("shop"))
        engine.dispose()
        yield url.rpartition("/")[2].partition("?")[0]


@pytest.fixture
def shop(server_url: str, shop_template: str) -> Iterator[Shop]:
    """A copy of the shop's database, dropped after the test."""
    with cloned_database(server_url, shop_template) as url:
        engine = engine_for(url)
        yield Shop(engine, url)
        engine.dispose()
