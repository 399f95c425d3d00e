"""Asking a scripted server through the provider: requests whose messages carry a row, as the stub wants them."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from rebase_db.errors import TeacherError
from rebase_db.task.teachers import OpenAITeacherSpec
from rebase_db.transform.provider import Reply, Request
from rebase_db.transform.providers.openai_server import OpenAIServer
from tests.transform.stub_server import CLOSING, OPENING, Asked, StubServer

KEY = "sk-" + "test0123456789"
SCHEMA = {
    "type": "object",
    "properties": {"input": {"type": "string"}, "output": {"type": "string", "enum": ["glad", "sad"]}},
    "required": ["input", "output"],
    "additionalProperties": False,
}


def spec(url: str, **settings: Any) -> OpenAITeacherSpec:
    plain = {"provider": "openai", "model": "stub-1", "base_url": url, "api_key_env": "STUB_KEY", "max_retries": 0}
    return OpenAITeacherSpec.model_validate(plain | settings)


def requests(count: int) -> list[Request]:
    rows = [json.dumps({"text": f"row {number}"}) for number in range(count)]
    return [
        Request(1000 + number, [{"role": "user", "content": f"Rewrite it.{OPENING}{row}{CLOSING}"}])
        for number, row in enumerate(rows)
    ]


def number_of(asked: Asked) -> int:
    """The row's place in `requests`."""
    return int(asked.row["text"].split()[1])


def ask(server: StubServer, count: int = 1, **settings: Any) -> list[Reply]:
    with closing(OpenAIServer(spec(server.url, **settings))) as provider:
        return list(provider.ask(requests(count), SCHEMA, "example"))


def only(server: StubServer, **settings: Any) -> Reply:
    (reply,) = ask(server, 1, **settings)
    return reply


def refusal_of(server: StubServer, **settings: Any) -> TeacherError:
    with pytest.raises(TeacherError) as caught:
        ask(server, 1, **settings)
    return caught.value
