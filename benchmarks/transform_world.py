"""Rows, tasks and prompts for the benchmark of transforming: made on the spot, the same for every system."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from sqlalchemy import text

from benchmarks.common import fresh_database
from rebase_db import settings
from rebase_db.task.load import load_task
from rebase_db.transform.prompt import RewritePrompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

MODEL = "gpt-4o-mini"  # the stub is none; clients look up by the name what a model can do
DATASET = "sentences"
TEXT = """
the of and in on under near behind before after a new old small large red green quiet busy early late time people
water house city school river mountain car book music game light winter summer garden table window paper story
family friend doctor teacher market bread apple stone road bridge ship train film dance walks sees keeps makes
finds leaves opens builds carries paints writes asks meets sells holds turns
"""
WORDS = TEXT.split()
WORDS_A_ROW = 30


@dataclass(frozen=True)
class World:
    """A folder with a dataset of one text column and a task for each number of requests in flight.

    Attributes:
        folder: Where the files are.
        rows: How many rows each task takes, by requests in flight.
    """

    folder: Path
    rows: dict[int, int]

    @property
    def corpus(self) -> Path:
        """The folder with the dataset."""
        return self.folder / "corpus"

    def task(self, in_flight: int) -> str:
        """A task's name."""
        return f"places-{in_flight}"

    def task_file(self, in_flight: int) -> Path:
        """A task's file."""
        return self.folder / f"{self.task(in_flight)}.yaml"

    def prompts(self, in_flight: int) -> Path:
        """A file with the messages of the task's rows, one JSON object a line."""
        return self.folder / f"prompts-{in_flight}.jsonl"

    def write(self, base_url: str) -> None:
        """Write everything; the prompts are those that ours sends."""
        self.corpus.joinpath(DATASET).mkdir(parents=True)
        texts = _texts(max(self.rows.values()))
        lines = [json.dumps({"text": value}) + "\n" for value in texts]
        self.corpus.joinpath(DATASET, "default.jsonl").write_text("".join(lines))
        for in_flight, count in self.rows.items():
            task = _task(self.task(in_flight), in_flight, count, base_url)
            self.task_file(in_flight).write_text(yaml.safe_dump(task, sort_keys=False))
            prompt = RewritePrompt(load_task(self.task_file(in_flight)))
            with self.prompts(in_flight).open("w") as handle:
                for number, value in enumerate(texts[:count]):
                    handle.write(json.dumps({"row": number, "messages": prompt.messages({"text": value})}) + "\n")


def _texts(count: int) -> list[str]:
    """Rows in the form that the stub looks for, no two alike."""
    chosen = random.Random(4)  # noqa: S311 - the same rows every time
    return [f"row {number:06d}: {' '.join(chosen.choices(WORDS, k=WORDS_A_ROW))}." for number in range(count)]


def _task(name: str, in_flight: int, count: int, base_url: str) -> dict[str, Any]:
    return {
        "name": name,
        "instruction": "Say yes or no: does the text speak of more than one place?",
        "labels": ["yes", "no"],
        "examples": [
            {"input": "From the harbour we took the bus to the castle, and were back for supper.", "output": "yes"},
            {"input": "She waited at the station all evening with a book about the sea.", "output": "no"},
        ],
        "sources": ["corpus"],
        "retrieve": {"top_n": count},
        "teacher": {
            "provider": "openai",
            "base_url": base_url,
            "model": MODEL,
            "concurrency": in_flight,
            "input_price": 0.15,
            "output_price": 0.6,
        },
    }


def environment(url: str, home: Path) -> dict[str, str]:
    """What a process of ours is told: the database, and nothing of this one's settings."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("REBASE_")}
    return others | {settings.DATABASE_URL: url, settings.HOME: str(home), "HF_HUB_OFFLINE": "1"}


def url_of(engine: Engine) -> str:
    """A database's URL for a process."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def retrieved(server_url: str, world: World) -> Iterator[Engine]:
    """A database with the dataset, embedded, and every task's rows retrieved; nobody is connected to it."""
    with fresh_database(server_url) as engine:
        told = environment(url_of(engine), world.folder)
        _rebase(["ingest", str(world.corpus)], told)
        for in_flight in world.rows:
            _rebase(["task", "add", str(world.task_file(in_flight))], told)
            _rebase(["retrieve", world.task(in_flight)], told)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))
        engine.dispose()
        yield engine


def _rebase(arguments: Sequence[str], told: dict[str, str]) -> None:
    command = [sys.executable, "-m", "cli.main", *arguments]
    subprocess.run(command, env=told, check=True, stdout=subprocess.DEVNULL)
