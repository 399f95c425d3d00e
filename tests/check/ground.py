"""A task with examples as a teacher left them, to be checked; hung on the lineage of tests/schema/chain.py."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import event, text, update

from rebase_db.check.run import Checked, Tools, check_examples
from rebase_db.schema import RetrievalLink
from rebase_db.task.file import TaskFile
from rebase_db.task.store import add_task
from tests.queue.rows import add_worker
from tests.schema.chain import NOW, add, add_text, build, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Engine

    from rebase_db.queue import Lane

OFF = {"action": "off"}
REJECT = {"action": "reject"}


def nobody(*_: object) -> Any:
    """Stands where no model may be asked for."""
    raise AssertionError("a model was asked for")


def task_file(name: str, **fields: Any) -> TaskFile:
    """A task without labels, so that any output will do."""
    plain = {
        "name": name,
        "instruction": "Name the animal.",
        "examples": [{"input": "It barks and it guards the house.", "output": "dog"}],
    }
    return TaskFile.model_validate(plain | fields)


@dataclass
class Ground:
    """One task's lane on a database, and the examples put on it."""

    engine: Engine
    chain: dict[str, dict[str, Any]]
    worker_id: int
    file: TaskFile
    lane: Lane
    task_id: int
    retrieval_id: int
    links: dict[int, int] = field(default_factory=dict)
    """Link by example, of its last attempt or an earlier one."""

    def put(
        self,
        rank: int,
        input_: str,
        output: str = "cat",
        *,
        state: str = "transformed",
        source: Mapping[str, str] | None = None,
    ) -> int:
        """Put a link of this rank with an example of its first attempt; the example's id."""
        with self.engine.begin() as connection:
            return self.put_on(connection, rank, input_, output, state=state, source=source)

    def put_on(
        self,
        connection: Connection,
        rank: int,
        input_: str,
        output: str = "cat",
        *,
        state: str = "transformed",
        source: Mapping[str, str] | None = None,
    ) -> int:
        dataset = {"dataset_id": self.chain["dataset"]["dataset_id"]}
        content = source or {"letter": f"row of rank {rank}"}
        row_id = connection.execute(text("SELECT max(row_id) + 1 FROM source_row")).scalar_one()
        add(
            connection, "source_row", row_id=row_id, ingest_id=1, split_id=1, source_index=row_id, content=content,
            content_hash=digest(row_id), **dataset,
        )  # fmt: skip
        cell = next(iter(content.values()))
        text_id = connection.execute(text("SELECT text_id FROM text WHERE text = :cell"), {"cell": cell}).scalar()
        if text_id is None:
            text_id = connection.execute(text("SELECT max(text_id) + 1 FROM text")).scalar_one()
            add_text(connection, text_id=text_id, text=cell, **dataset)
        add(connection, "cell", row_id=row_id, column_id=1, text_id=text_id, **dataset)
        link = add(
            connection,
            "retrieval_link",
            task_version_id=self.lane[0], encoder_id=self.lane[1], row_id=row_id, input_column_id=1,
            output_column_id=1, input_score=0.5, output_score=0.5, dataset_score=0.5, score=0.5, rank=rank,
            entered_by=self.retrieval_id, state=state, attempt=1, finished_at=NOW,
            error="label: the example failed this check" if state == "rejected" else None, **dataset,
        )  # fmt: skip
        return self._answer(connection, link["link_id"], 1, input_, output)

    def _answer(self, connection: Connection, link_id: int, attempt: int, input_: str, output: str) -> int:
        generation_id = self._generation(connection, link_id, attempt, outcome="parsed", reading="strict")
        made = add(
            connection,
            "example",
            input=input_, output=output, content_hash=digest((input_, output)), link_id=link_id,
            generation_id=generation_id,
        )  # fmt: skip
        self.links[made["example_id"]] = link_id
        return int(made["example_id"])

    def _generation(self, connection: Connection, link_id: int, attempt: int, **values: Any) -> int:
        made = add(
            connection,
            "generation",
            attempt=attempt, prompt_hash=digest((link_id, attempt)), latency_seconds=0.1, link_id=link_id,
            worker_id=self.worker_id, teacher_id=self.chain["teacher"]["teacher_id"],
            prompt_id=self.chain["prompt"]["prompt_id"], **({"raw_answer": "{}"} | values),
        )  # fmt: skip
        return int(made["generation_id"])

    def put_again(self, example_id: int, input_: str, output: str = "cat") -> int:
        """A new attempt at an example's link has made another example; its id."""
        with self.engine.begin() as connection:
            link_id, attempt = self._try_again(connection, example_id, "transformed", None)
            return self._answer(connection, link_id, attempt, input_, output)

    def answer_badly(self, example_id: int) -> None:
        """A new attempt at an example's link has made none."""
        with self.engine.begin() as connection:
            link_id, attempt = self._try_again(connection, example_id, "rejected", "not_json")
            self._generation(connection, link_id, attempt, outcome="rejected", reason="not_json", raw_answer="no")

    def _try_again(self, connection: Connection, example_id: int, state: str, error: str | None) -> tuple[int, int]:
        link_id = self.links[example_id]
        statement = (
            "UPDATE retrieval_link SET attempt = attempt + 1, state = :state, error = :error"
            " WHERE link_id = :link_id RETURNING attempt"
        )
        values = {"link_id": link_id, "state": state, "error": error}
        return link_id, connection.execute(text(statement), values).scalar_one()

    def change(self, example_id: int, **values: Any) -> None:
        """Set columns of an example's link."""
        with self.engine.begin() as connection:
            connection.execute(
                update(RetrievalLink).where(RetrievalLink.link_id == self.links[example_id]).values(values)
            )

    def check(
        self,
        checks: Mapping[str, Any] | None = None,
        *,
        provider: Any = nobody,
        encoder: Any = nobody,
        stopping: threading.Event | None = None,
        **fields: Any,
    ) -> Checked:
        """Check the lane by a task file with these checks."""
        file = task_file(self.file.name, checks=checks or {}, **fields)
        return check_examples(
            self.engine, self.worker_id, self.lane, file, Tools(provider, encoder, stopping or threading.Event())
        )

    def states(self, *example_ids: int) -> list[str]:
        """The states of examples' links, of all that were put if none are named."""
        with self.engine.connect() as connection:
            found = {row.link_id: row.state for row in connection.execute(text("SELECT * FROM retrieval_link"))}
        return [found[self.links[each]] for each in example_ids or self.links]

    def results(self, example_id: int, name: str) -> list[tuple[str, int | None]]:
        """Verdict and other example of all results of a check of an example, in order."""
        query = (
            "SELECT verdict, other_example_id FROM check_result JOIN check_definition USING (check_id)"
            " WHERE example_id = :example_id AND name = :name ORDER BY check_result_id"
        )
        return [tuple(row) for row in self.rows(query, example_id=example_id, name=name)]

    def evidence(self, example_id: int, name: str) -> dict[str, Any]:
        """The evidence of the newest result of a check of an example."""
        query = (
            "SELECT evidence FROM check_result JOIN check_definition USING (check_id)"
            " WHERE example_id = :example_id AND name = :name ORDER BY check_result_id DESC LIMIT 1"
        )
        found: dict[str, Any] = self.rows(query, example_id=example_id, name=name)[0][0]
        return found

    def events(self, example_id: int) -> list[tuple[str, str, str]]:
        """What happened to an example's link: event, state before and after."""
        query = "SELECT event, from_state, to_state FROM event WHERE item_id = :link_id AND queue = 'retrieval_link'"
        found = self.rows(f"{query} AND event <> 'done' ORDER BY event_id", link_id=self.links[example_id])
        return [tuple(row) for row in found]

    def count(self, table: str) -> int:
        """Rows of a table."""
        return int(self.rows(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - tests name it

    def rows(self, query: str, **values: Any) -> list[Any]:
        """Rows of a query, or of a statement that is committed and returns none."""
        with self.engine.begin() as connection:
            found = connection.execute(text(query), values)
            return list(found.all()) if found.returns_rows else []


def new_ground(
    engine: Engine, name: str = "animals", chain: dict[str, dict[str, Any]] | None = None, **fields: Any
) -> Ground:
    """A task without examples; on the lineage that is there, or on a new one."""
    with engine.begin() as connection:
        chain = chain or build(connection)
        file = task_file(name, **fields)
        stored = add_task(connection, file)
        lane = stored.task_version_id, chain["encoder"]["encoder_id"]
        retrieval = add(
            connection, "retrieval", task_version_id=lane[0], encoder_id=lane[1], top_n=9, scoring="max-rank",
            mirrors="all", state="done", rows_scored=9, cutoff_score=0.1, attempt=1, finished_at=NOW,
        )  # fmt: skip
        task_id = connection.execute(text("SELECT task_id FROM task WHERE name = :name"), {"name": name}).scalar_one()
        worker_id = add_worker(connection)
        return Ground(engine, chain, worker_id, file, lane, task_id, retrieval["retrieval_id"])


def add_benchmark(engine: Engine, name: str, *items: str) -> int:
    """Register a benchmark of these inputs; its id."""
    with engine.begin() as connection:
        benchmark = add(connection, "benchmark", name=name, uri=f"file:{name}", content_hash=digest((name, items)))
        for position, item in enumerate(items, 1):
            add(
                connection, "benchmark_item", position=position, item_key=f"{name}-{position}", input=item,
                output="dog", benchmark_id=benchmark["benchmark_id"],
            )  # fmt: skip
    return int(benchmark["benchmark_id"])


class Statements:
    """Counts the statements of an engine while it is entered, by their first word."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.by_word: Counter[str] = Counter()

    def _note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        bare = "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
        self.by_word[bare.split(maxsplit=1)[0].upper()] += 1

    def __enter__(self) -> Self:
        event.listen(self._engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._note)
