"""`rebase check` and `rebase benchmark`, as they are typed and read at 80 columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rebase_db.control import pause
from rebase_db.embed.identity import EncoderIdentity
from rebase_db.errors import RebaseError, TaskError, UnknownNameError
from rebase_db.task.store import add_task
from tests.check.ground import Ground, new_ground, task_file
from tests.schema.chain import WIDTH, digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine
    from typer.testing import Result

ITEM = '{"id": "a", "input": "It meows.", "output": "cat"}\n'


@pytest.fixture
def ground(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """A task with three examples of which two are alike; its encoder is the lineage's."""
    identity = EncoderIdentity("e", "1", digest("e"), WIDTH, 8, "float32")
    monkeypatch.setattr("workers.pipeline.encoder_identity_of", lambda _: identity)
    ground = new_ground(engine)
    for rank, text in enumerate(["It meows.", "it MEOWS", "It moos all day long in the meadow."], 1):
        ground.put(rank, text)
    return ground


@pytest.mark.usefixtures("ground")
def test_check_counts_what_it_found(invoke: Callable[..., Result]) -> None:
    result = invoke("check", "animals")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["check", "pass", "warn", "fail"]
    assert ["duplicate", "2", "0", "1"] in lines
    assert ["near_duplicate", "3", "0", "0"] not in lines, "word triples are the same"
    assert all(len(line) <= 80 for line in result.output.splitlines())
    said = "3 examples: {} kept out that were accepted before, {} let in that were kept out.\n"
    assert result.stderr == said.format(1, 0)
    again = invoke("check", "animals")
    assert again.stdout == result.stdout
    assert again.stderr == said.format(0, 0)


@pytest.mark.usefixtures("ground")
def test_check_as_json(invoke: Callable[..., Result]) -> None:
    found = json.loads(invoke("check", "animals", "--json").stdout)
    assert (found["examples"], found["kept_out"], found["let_in"]) == (3, 1, 0)
    assert found["checks"]["duplicate"] == {"pass": 2, "fail": 1}


def test_check_goes_by_the_task_file_as_it_is_now(ground: Ground, invoke: Callable[..., Result]) -> None:
    invoke("check", "animals")
    with ground.engine.begin() as connection:
        add_task(connection, task_file("animals", checks={"duplicate": {"action": "off"}}))
    result = invoke("check", "animals")
    assert "1 let in" in result.stderr
    assert "duplicate " not in [line.split()[0] + " " for line in result.stdout.splitlines()]


def test_a_paused_task_is_left_alone(ground: Ground, invoke: Callable[..., Result]) -> None:
    with ground.engine.begin() as connection:
        pause(connection, "animals")
    before = ground.count("check_result")
    with pytest.raises(RebaseError, match="'animals' is paused"):
        invoke("check", "animals", catch_exceptions=False)
    assert ground.count("check_result") == before


@pytest.mark.usefixtures("ground")
def test_an_unknown_task(invoke: Callable[..., Result]) -> None:
    with pytest.raises(UnknownNameError, match="anmals"):
        invoke("check", "anmals", catch_exceptions=False)


def test_benchmarks_are_registered_once_by_content(invoke: Callable[..., Result], tmp_path: Path) -> None:
    first, copy, other = (tmp_path / name for name in ("cats.jsonl", "copy.jsonl", "dogs.jsonl"))
    first.write_text(ITEM)
    copy.write_text(ITEM)
    other.write_text(ITEM.replace("meows", "barks") + '{"input": "It howls.", "output": "wolf"}\n')
    result = invoke("benchmark", "add", str(first), str(other))
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == ["Benchmark 1: cats, 1 item.", "Benchmark 2: dogs, 2 items."]
    again = invoke("benchmark", "add", str(copy))
    assert again.stderr.splitlines() == ["Benchmark 1: copy.jsonl is registered as cats."]
    listed = invoke("benchmark", "list")
    lines = [line.split() for line in listed.stdout.splitlines()]
    assert lines[0] == ["benchmark", "name", "items", "hash", "uri"]
    assert [line[:3] for line in lines if line[0].isdecimal()] == [["1", "cats", "1"], ["2", "dogs", "2"]]
    assert all(len(line) <= 80 for line in listed.stdout.splitlines())
    records = json.loads(invoke("benchmark", "list", "--json").stdout)
    assert [record["uri"] for record in records] == [str(first), str(other)]
    assert [len(record["hash"]) for record in records] == [64, 64]


def test_a_bad_benchmark_names_file_and_line_and_nothing_is_kept(invoke: Callable[..., Result], tmp_path: Path) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text(ITEM)
    bad.write_text(ITEM + '{"input": "It moos."}\n')
    with pytest.raises(TaskError, match=r"bad\.jsonl, line 2: `output` is missing"):
        invoke("benchmark", "add", str(good), str(bad), catch_exceptions=False)
    assert invoke("benchmark", "list").stdout == ""


def test_a_missing_benchmark(invoke: Callable[..., Result], tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"none\.jsonl cannot be read: No such file") as refused:
        invoke("benchmark", "add", str(tmp_path / "none.jsonl"), catch_exceptions=False)
    assert (refused.value.hint or "").startswith("In a task file")
