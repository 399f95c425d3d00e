from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.task.teachers import OpenAITeacherSpec
from rebase_db.transform.provider import Request, ResponseForm
from rebase_db.transform.providers.model_files import ChatTokens, find_model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vllm.conftest import VLLMServer

# In one process, which sets the environment up.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("vllm")]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "input": {"type": "string"},
        "output": {"type": "string", "enum": ["yes", "no"]},
    },
    "required": ["input", "output"],
    "additionalProperties": False,
}


def test_a_vllm_server_holds_the_answers_to_the_schema(vllm_server: VLLMServer, tiny_llama: Path) -> None:
    from rebase_db.transform.providers.openai_server import OpenAIServer

    spec = OpenAITeacherSpec(
        provider="openai", base_url=vllm_server.base_url, model=vllm_server.model, max_tokens=150, context_tokens=4096
    )
    tokens = ChatTokens(find_model(str(tiny_llama), None))
    requests = [Request(n, [{"role": "user", "content": "Write the row anew: " + "small " * n}]) for n in range(20)]
    provider = OpenAIServer(spec)

    replies = {reply.key: reply for reply in provider.ask(requests, SCHEMA, "example")}
    provider.close()

    assert len(replies) == len(requests)
    for request in requests:
        reply = replies[request.key]
        assert reply.error is None
        assert reply.text is not None
        assert reply.response_form is ResponseForm.JSON_SCHEMA
        assert reply.finish_reason == "stop"
        assert reply.usage.prompt_tokens == len(tokens.ids(request.messages))
        answer = json.loads(reply.text)
        assert list(answer) == ["input", "output"]
        assert isinstance(answer["input"], str)
        assert answer["output"] in {"yes", "no"}
