"""`rebase transform` with a real vLLM: behind a server, and in the command's own process."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from sqlalchemy import text

from rebase_db.database.engine import engine_for
from rebase_db.transform.providers.model_files import ChatTokens, find_model
from tests.pipeline.conftest import ROOT, World, world, world_template
from tests.vllm.conftest import vllm_environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vllm.conftest import VLLMServer

__all__ = ["world", "world_template"]

# In one process, which sets the environment up.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("vllm")]

ROWS = 10
LIMITS = {"max_tokens": 200, "context_tokens": 4096, "temperature": 1.0, "seed": 7}
CALLS = """
    SELECT link.state, generation.outcome, generation.reason, generation.reading, generation.response_form,
        generation.raw_answer, generation.prompt_tokens, generation.completion_tokens, generation.finish_reason,
        source_row.content, example.input, example.output
    FROM retrieval_link AS link
    INNER JOIN source_row USING (dataset_id, row_id)
    LEFT JOIN generation USING (link_id)
    LEFT JOIN example USING (generation_id, link_id)"""


def prepare(world: World, teacher: dict[str, Any]) -> None:
    """A task with rows that wait for this teacher."""
    task = yaml.safe_load(world.task.read_text()) | {
        "teacher": teacher | LIMITS,
        "checks": {"duplicate": {"action": "off"}},
    }
    task["retrieve"]["top_n"] = ROWS
    world.task.write_text(yaml.safe_dump(task, sort_keys=False))
    for command in (
        ("ingest", str(world.folder / "corpus")),
        ("task", "add", str(world.task)),
        ("retrieve", "fruit-or-tool"),
    ):
        done = world.rebase(*command)
        assert done.returncode == 0, done.stderr


def assert_transformed(world: World, tiny_llama: Path) -> None:
    """Every row has an answer by the schema, for a prompt as long as this row's is."""
    engine = engine_for(world.database_url)
    with engine.connect() as connection:
        calls = connection.execute(text(CALLS)).all()
    engine.dispose()
    assert len(calls) == ROWS
    tokens = ChatTokens(find_model(str(tiny_llama), None))
    # A prompt has the tokens of its row's JSON and those that all of them have.
    rest = set()
    for call in calls:
        row = json.dumps(call.content, ensure_ascii=False)
        rest.add(call.prompt_tokens - len(tokens.ids([{"role": "user", "content": row}])))
        assert (call.response_form, call.reading) == ("json_schema", "strict"), call
        answer = json.loads(call.raw_answer)
        assert answer["output"] in {"fruit", "tool"}
        assert (answer["input"], answer["output"]) == (call.input, call.output)
        assert call.completion_tokens <= LIMITS["max_tokens"]
    assert max(rest) - min(rest) <= 8, "tokens on the seams aside, prompts differ in their rows alone"


def test_transform_with_a_vllm_server(world: World, vllm_server: VLLMServer, tiny_llama: Path) -> None:
    prepare(world, {"provider": "openai", "base_url": vllm_server.base_url, "model": vllm_server.model})
    done = world.rebase("transform", "fruit-or-tool", timeout=600)
    assert done.returncode == 0, done.stderr + vllm_server.log.read_text(encoding="utf-8")[-4000:]
    assert_transformed(world, tiny_llama)


def test_transform_with_vllm_in_the_process(world: World, vllm_python: Path, tiny_llama: Path) -> None:
    prepare(
        world, {"provider": "vllm", "model": str(tiny_llama), "dtype": "float32", "enforce_eager": True, "batch": ROWS}
    )
    done = subprocess.run(
        [vllm_python, "-m", "cli.main", "transform", "fruit-or-tool"],
        env=vllm_environment() | world.environment(),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert_transformed(world, tiny_llama)
