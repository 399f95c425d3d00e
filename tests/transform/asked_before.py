"""Rows of a database answered by a language model in memory, and written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.queue import Claim
from rebase_db.task.file import TaskFile
from rebase_db.transform.batch import Batch, plan_batch
from rebase_db.transform.language_model import LanguageModelTeacher
from rebase_db.transform.rows import RowReader
from rebase_db.transform.store import register_teacher, write_answers
from tests.queue import rows
from tests.transform.fake_provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from tests.transform.budgeted import Budgeted


def task_file(**settings: Any) -> TaskFile:
    plain = {"name": "frugal", "instruction": "Spell it out.", "examples": [{"input": "a", "output": "yes"}]}
    return TaskFile.model_validate(plain | settings)


class Other(FakeProvider):
    """Another model."""

    @property
    def identity(self) -> dict[str, Any]:
        return super().identity | {"model": "fake-2"}


class Asking:
    """A teacher of a task with its ids."""

    def __init__(self, task: Budgeted, provider: FakeProvider | None = None, **settings: Any) -> None:
        self.task = task
        self.provider = provider or FakeProvider()
        self.teacher = LanguageModelTeacher(task_file(**settings), self.provider)
        with task.engine.begin() as connection:
            self.ids = register_teacher(connection, self.teacher.identity, self.teacher.prompt)

    def plan(self, links: Sequence[int]) -> Batch:
        with self.task.engine.connect() as connection:
            return plan_batch(connection, RowReader(), self.teacher, self.ids[0], links)

    def ask(self, links: Sequence[int]) -> dict[int, int]:
        """Ask for what is not stored, and write that and what is; generations by link."""
        batch = self.plan(links)
        answers = [*batch.stored, *self.teacher.answer(batch.ask)]
        with self.task.engine.begin() as connection:
            worker = rows.add_worker(connection)
            claims = {link: Claim(link, _next_attempt(connection, link), last=False) for link in links}
            keys = {"task_version_id": self.task.lane[0], "teacher_id": self.ids[0], "prompt_id": self.ids[1]}
            return write_answers(connection, worker, claims, answers, [], **keys)


def _next_attempt(connection: Connection, link: int) -> int:
    query = text("SELECT coalesce(max(attempt), 0) + 1 FROM generation WHERE link_id = :link")
    return int(connection.execute(query, {"link": link}).scalar_one())


_ADD_TWINS = """
    WITH number AS (SELECT 1000 + generate_series(1, :count) AS n),
    model AS (SELECT * FROM retrieval_link WHERE link_id = :link),
    rows AS (
        INSERT INTO source_row (dataset_id, row_id, ingest_id, split_id, source_index, content, content_hash)
        SELECT model.dataset_id, n, 1, 1, n, jsonb_build_object('letter', CAST(:letter AS text)), sha256('twin')
        FROM number CROSS JOIN model
    ),
    cells AS (
        INSERT INTO cell (dataset_id, row_id, column_id, text_id)
        SELECT model.dataset_id, n, 1, 1 FROM number CROSS JOIN model
    )
    INSERT INTO retrieval_link (
        task_version_id, encoder_id, dataset_id, row_id, input_column_id, output_column_id, input_score, output_score,
        dataset_score, score, rank, entered_by, state
    )
    SELECT task_version_id, encoder_id, dataset_id, n, 1, 1, 0, 0, 0, 0, n, entered_by, 'retrieved'
    FROM number CROSS JOIN model ORDER BY n
    RETURNING link_id"""


def add_twins(task: Budgeted, count: int, letter: str = "twin") -> list[int]:
    """Further links of a task whose rows are all alike, so that their prompts are equal; once a database."""
    with task.engine.begin() as connection:
        made = connection.execute(text(_ADD_TWINS), {"count": count, "link": task.links[0], "letter": letter})
        return list(made.scalars())
