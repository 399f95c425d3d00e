"""A language model in memory that replies as it is told and remembers what it was asked.

    FakeProvider()                                     # answers every request well, by its schema
    FakeProvider(lambda request, schema: said(request, "{}"))
    FakeProvider(context_tokens=2000)                  # see FakeProvider for the limits

Its tokens are words and signs, so that a test can count them. `most_tokens` are the prompt's UTF-8 bytes. Requests are
taken one by one, as each reply is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rebase_db.errors import TeacherError
from rebase_db.transform.provider import Limits, Messages, Reply, Request, ResponseForm

_TOKEN = re.compile(r"\w{1,6}|\S|\s(?!\S)")

Behaviour = Callable[[Request, Mapping[str, Any]], Reply]


def said(request: Request, text: str | None, **fields: Any) -> Reply:
    """A reply with this text; by default one that was held to the schema and ended by itself."""
    plain = {"finish_reason": "stop", "response_form": ResponseForm.JSON_SCHEMA}
    return Reply(request.key, text, 0.01, **(plain | fields))


def good_answer(request: Request, schema: Mapping[str, Any]) -> Reply:
    """An answer by the schema: of each key the first choice, else its name; numbers and text alike."""
    answer = {key: rule.get("enum", [f"made up {key}"])[0] for key, rule in schema["properties"].items()}
    return said(request, json.dumps(answer))


class FakeProvider:
    """A provider whose replies come from `behaviour`; `backwards` takes all requests and answers the last one first.

    `asked` is every request in order, `schemas` and `names` what came with each call, `counted` the prompts counted,
    `ended` the calls that are over.
    """

    def __init__(self, behaviour: Behaviour = good_answer, *, backwards: bool = False, **limits: Any) -> None:
        self.behaviour = behaviour
        self.backwards = backwards
        plain: dict[str, Any] = {"answer_tokens": 100, "context_tokens": 4000, "in_flight": 8}
        self.limits = Limits(**(plain | limits))
        self.asked: list[Request] = []
        self.schemas: list[Mapping[str, Any]] = []
        self.names: list[str] = []
        self.counted: list[Messages] = []
        self.ended = 0
        self._calls: list[Iterator[Reply]] = []
        self.closed = False

    @property
    def identity(self) -> dict[str, Any]:
        return {"provider": "fake", "model": "fake-1", "endpoint": None, "sampling": {"temperature": 0.0}}

    def count_tokens(self, messages: Messages) -> int:
        self.counted.append(messages)
        return sum(len(_TOKEN.findall(message["content"])) for message in messages)

    def most_tokens(self, messages: Messages) -> int:
        return sum(len(message["content"].encode()) for message in messages)

    def ask(self, requests: Iterable[Request], schema: Mapping[str, Any], name: str) -> Iterator[Reply]:
        if self.closed:
            raise TeacherError("closed")
        self.schemas.append(schema)
        self.names.append(name)
        replies = self._replies(requests, schema)
        self._calls.append(replies)  # so that a call ends only by being closed
        return replies

    def _replies(self, requests: Iterable[Request], schema: Mapping[str, Any]) -> Iterator[Reply]:
        try:
            for request in reversed(list(requests)) if self.backwards else requests:
                self.asked.append(request)
                yield self.behaviour(request, schema)
        finally:
            self.ended += 1

    def close(self) -> None:
        self.closed = True
