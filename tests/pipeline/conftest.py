"""A small world to run whole tasks in: three datasets, a task with a benchmark, and a tiny encoder made on the spot."""

from __future__ import annotations

import json
import os
import string
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from rebase_db.database.engine import engine_for
from tests.conftest import cloned_database
from tests.pipeline.end_state import end_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

THINGS = {
    "fruit": ["apple", "pear", "plum", "cherry", "melon", "grape", "lemon", "peach"],
    "tool": ["hammer", "saw", "drill", "wrench", "chisel", "pliers", "file", "axe"],
}
VERBS = {"fruit": "eat", "tool": "use"}
ROOT = Path(__file__).parents[2]
WAYS = ["{} a {} today", "{} the {} on the table", "{} that {} now", "{} one {} more"]


@dataclass(frozen=True)
class World:
    """Where the task file is, and how to run commands on a database of its own."""

    folder: Path
    database_url: str

    @property
    def task(self) -> Path:
        """The task file."""
        return self.folder / "task.yaml"

    def environment(self, fault: str = "") -> dict[str, str]:
        """What the project's processes are told: this world's database and data folder, and where to die."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REBASE_")}
        environment |= {
            "REBASE_DATABASE_URL": self.database_url,
            "REBASE_HOME": str(self.folder / "home"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",  # the artifact of a training depends on the number of threads
            "COLUMNS": "200",
        }
        return environment | ({"REBASE_FAULT": fault} if fault else {})

    def rebase(self, *arguments: str, fault: str = "", timeout: float = 280) -> subprocess.CompletedProcess[str]:
        """Run the `rebase` command as a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            env=self.environment(fault),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=ROOT,
        )


def make_tiny_encoder(folder: Path) -> None:
    """A random two-layer BERT with a vocabulary of characters, saved as a sentence-transformers model."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    raw = folder.with_name("tiny-bert")
    raw.mkdir()
    letters = string.ascii_lowercase + string.digits + ".,:;!?'-_/"
    words = sorted({word for names in (*THINGS.values(), list(VERBS.values())) for word in names})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    (raw / "vocab.txt").write_text("\n".join(tokens))
    tokenizer = BertTokenizer(str(raw / "vocab.txt"), model_max_length=64)
    tokenizer.save_pretrained(raw)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,  # wide enough that its random features tell words apart
    )
    BertModel(config).save_pretrained(raw)
    transformer = Transformer(str(raw), max_seq_length=64)
    SentenceTransformer(modules=[transformer, Pooling(32, "mean")]).save(str(folder))


def write_corpus(folder: Path) -> None:
    """Three datasets of things, in three forms; the third has rows that fit no rule."""
    rows = [(way.format(VERBS[kind], name), kind) for way in WAYS for kind, names in THINGS.items() for name in names]
    for name in ("things", "wares", "notes"):
        (folder / name).mkdir(parents=True)
    csv = "text,kind\n" + "".join(f'"{text}",{kind}\n' for text, kind in rows[::2])
    (folder / "things" / "default.csv").write_text(csv)
    lines = [json.dumps({"label": kind, "body": {"text": text}}) for text, kind in rows[1::2]]
    (folder / "wares" / "default.jsonl").write_text("\n".join(lines) + "\n")
    notes = "text\tkind\n" + "".join(
        f"{text}!\t{'other' if place % 3 else kind}\n" for place, (text, kind) in enumerate(rows)
    )
    (folder / "notes" / "default.tsv").write_text(notes)
    (folder / "descriptions.json").write_text(json.dumps({"things": "Fruit and tools.", "wares": "What a shop sells."}))


def write_world(folder: Path) -> None:
    """The files of the world: encoder, corpus, benchmark, task."""
    make_tiny_encoder(folder / "encoder")
    write_corpus(folder / "corpus")
    items = [
        {"id": f"{kind}/{name}", "input": f"{VERBS[kind]} any {name}", "output": kind}
        for kind, names in THINGS.items()
        for name in names
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    encoder = str(folder / "encoder")
    rule = {"input": "{{ text }}", "output": "{{ kind }}", "labels": {"fruit": "fruit", "tool": "tool"}}
    nested = {"input": "{{ row['body.text'] }}", "output": "{{ label }}"}
    task = {
        "name": "fruit-or-tool",
        "instruction": "Say whether the text is about a fruit or a tool.",
        "labels": ["fruit", "tool"],
        "examples": [
            {"input": "eat this banana", "output": "fruit"},
            {"input": "use this spanner", "output": "tool"},
        ],
        "sources": ["corpus"],
        "retrieve": {"encoder": encoder, "top_n": 90},
        "teacher": {
            "provider": "template",
            "rules": [{"columns": ["text", "kind"], **rule}, {"columns": ["body.text", "label"], **nested}],
        },
        "student": {"kind": "classifier", "base": encoder, "epochs": 2, "learning_rate": 0.002, "max_tokens": 32},
        "evaluate": {"benchmark": "items.jsonl", "metric": "accuracy"},
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(task, sort_keys=False))


@pytest.fixture(scope="session")
def world_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the world, made once."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


def settle(template: Path, folder: Path, database_url: str) -> World:
    """The world with a database and a data folder of its own."""
    folder.mkdir()
    for part in ("encoder", "corpus"):
        (folder / part).symlink_to(template / part)
    for part in ("task.yaml", "items.jsonl"):
        (folder / part).write_bytes((template / part).read_bytes())
    return World(folder, database_url)


@pytest.fixture
def world(world_template: Path, database_url: str, tmp_path: Path) -> World:
    """The world with a database and a data folder of this test's own."""
    return settle(world_template, tmp_path / "world", database_url)


@dataclass(frozen=True)
class WholeRun:
    """A run that nothing happened to: what it said, and what it left; to be looked at, not changed."""

    world: World
    said: subprocess.CompletedProcess[str]
    engine: Engine


@pytest.fixture(scope="session")
def whole_run(
    world_template: Path, server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WholeRun]:
    """`rebase run` of the world's task on a database of its own."""
    with cloned_database(server_url, template_database) as url:
        world = settle(world_template, tmp_path_factory.mktemp("whole-run") / "world", url)
        said = world.rebase("run", str(world.task))
        assert said.returncode == 0, said.stderr
        engine = engine_for(url)
        yield WholeRun(world, said, engine)
        engine.dispose()


@pytest.fixture(scope="session")
def undisturbed(whole_run: WholeRun) -> dict[str, list[tuple[Any, ...]]]:
    """The end state of a run that nothing happened to."""
    return end_state(whole_run.engine)
