"""Commands as a user runs them: within this process where that is enough, as a process where signals matter."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cli.main import app, main
from rebase_db import queue
from rebase_db.task.file import TaskFile
from rebase_db.task.store import add_task
from tests.pipeline.conftest import world, world_template
from tests.queue import rows
from tests.schema.chain import NOW, add, build
from tests.transform.stub_server import StubServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine
    from typer.testing import Result

__all__ = ["world", "world_template"]  # fixtures of another folder are ones here by their names

TASK = "spell-out"


@pytest.fixture
def invoke(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command on the test's database; what a library raises is raised here too."""
    monkeypatch.setattr("cli.session.open_database", lambda: engine)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments, **options: CliRunner().invoke(app, list(arguments), **options)


@pytest.fixture
def within(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command from its entry point on, in this process and on the test's database."""
    monkeypatch.setattr("cli.session.open_database", lambda: engine)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["rebase", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), *capsys.readouterr())

    return run


@dataclass(frozen=True, slots=True)
class Queued:
    """A task whose links wait for a teacher that runs at `url`."""

    engine: Engine
    database_url: str
    links: list[int]

    def count(self, state: str) -> int:
        """Links in a state."""
        query = "SELECT count(*) FROM retrieval_link WHERE state = :state AND link_id = ANY(:links)"
        return self._scalar(query, state=state)

    def most_attempts_used(self) -> int:
        """Attempts that a link has been charged with, at most."""
        return self._scalar("SELECT max(attempt - (attempt_limit - 5)) FROM retrieval_link WHERE link_id = ANY(:links)")

    def crashes(self) -> int:
        """Workers that died with a link."""
        return self._scalar("SELECT sum(crashes) FROM retrieval_link WHERE link_id = ANY(:links)")

    def _scalar(self, query: str, **parameters: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text(query), {"links": self.links, **parameters}).scalar_one())


def task_file(url: str, **teacher: Any) -> TaskFile:
    """A task whose teacher is asked at `url`."""
    return TaskFile.model_validate(
        {
            "name": TASK,
            "instruction": "Spell it out.",
            "labels": ["yes", "no"],
            "examples": [{"input": "a", "output": "yes"}],
            "teacher": {"provider": "openai", "model": "m", "base_url": url, "max_retries": 0, **teacher},
        }
    )


def enqueue(engine: Engine, url: str, count: int, **teacher: Any) -> list[int]:
    """Add a task with `count` links for a teacher at `url`; their ids."""
    with engine.begin() as connection:
        chain = build(connection)
        stored = add_task(connection, task_file(url, **teacher))
        version = {"task_version_id": stored.task_version_id}
        encoder = {"encoder_id": chain["encoder"]["encoder_id"]}
        retrieval = add(
            connection,
            "retrieval",
            top_n=count, scoring="max-rank", mirrors="all", state="done", rows_scored=count, attempt=1,
            finished_at=NOW, **version, **encoder,
        )  # fmt: skip
        return rows.add_ready(
            connection, chain | {"task_version": version, "retrieval": retrieval}, queue.TRANSFORM, count
        )


@pytest.fixture
def teacher() -> Iterator[StubServer]:
    """A teacher that answers well, until told otherwise."""
    with StubServer() as server:
        yield server


@pytest.fixture
def queued(engine: Engine, database_url: str, teacher: StubServer) -> Queued:
    """Twenty links that wait for the teacher."""
    return Queued(engine, database_url, enqueue(engine, teacher.url, 20))


@contextmanager
def rebase(
    database_url: str, home: Path, *arguments: str, stdout: int = subprocess.PIPE, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """A command as a process of its own, which does not outlive the context."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("REBASE_")}
    settings = {"REBASE_DATABASE_URL": database_url, "REBASE_HOME": str(home), "HF_HUB_OFFLINE": "1", "COLUMNS": "80"}
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments],
        env=inherited | settings | environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            yield process
        finally:
            process.kill()
