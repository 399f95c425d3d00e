"""An OpenAI-compatible server on 127.0.0.1 that answers as it is told and remembers what it was asked.

    with StubServer() as server: ...             # answers every row well
    with StubServer(lambda asked: Reply(status=500)) as server: ...

A behaviour gets what was asked, the row in it and the count of earlier requests for that row included, and returns the
reply. It is called from the server's threads. Prompts without a row (a judge's) are counted by their words.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

OPENING, CLOSING = "<source_row>\n", "\n</source_row>"


@dataclass(frozen=True)
class Asked:
    """One request: the row its prompt carried, how often that row was asked before, body and Authorization header.

    The row of a prompt without one is empty.
    """

    row: dict[str, str]
    before: int
    body: dict[str, Any]
    authorization: str | None

    @property
    def form(self) -> str:
        """How the answer is to be held to JSON: `json_schema`, `json_object` or `text`."""
        form: str = self.body.get("response_format", {"type": "text"})["type"]
        return form


@dataclass(frozen=True)
class Reply:
    """One reply. `content` None is a good answer made from the row; `body` replaces the whole completion.

    `delay` waits that many seconds; `hang` waits until the server closes; `drop` closes the connection without a reply.
    """

    content: str | None = None
    status: int = 200
    finish_reason: str = "stop"
    refusal: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    message: str = "scripted"
    code: str | None = None
    param: str | None = None
    usage: dict[str, Any] | None = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 20})
    delay: float = 0.0
    hang: bool = False
    drop: bool = False


Behaviour = Callable[[Asked], Reply]


def row_in(body: dict[str, Any]) -> dict[str, str]:
    """The row of a prompt: what stands in the last delimiters of the last message, which must end it."""
    text: str = body["messages"][-1]["content"]
    assert text.endswith(CLOSING), "the row is not last"
    row: dict[str, str] = json.loads(text[text.rindex(OPENING) + len(OPENING) : -len(CLOSING)])
    return row


def good_answer(asked: Asked) -> str:
    """An answer by the request's own schema, whose input quotes the row.

    Without a schema it has the keys input and output, and in plain text it stands in a code fence.
    """
    made_up = {"input": "made up input", "output": "made up output"}
    if asked.form == "json_schema":
        schema = asked.body["response_format"]["json_schema"]["schema"]["properties"]
        made_up = {key: _value(key, rule) for key, rule in schema.items()}
    if asked.row and "input" in made_up:
        made_up["input"] = json.dumps(asked.row)
    answer = json.dumps(made_up)
    return f"Here it is:\n```json\n{answer}\n```" if asked.form == "text" else answer


def _value(key: str, rule: dict[str, Any]) -> Any:
    if "enum" in rule:
        return rule["enum"][0]
    return {"integer": rule.get("maximum", 1), "boolean": True}.get(rule["type"], f"made up {key}")


def knows_only(*forms: str, status: int = 400, then: Behaviour = lambda _: Reply()) -> Behaviour:
    """Turns away every other response format, in the words of OpenAI's API; otherwise as `then` says."""

    def behave(asked: Asked) -> Reply:
        if asked.form in forms:
            return then(asked)
        message = f"Invalid parameter: 'response_format' of type '{asked.form}' is not supported with this model."
        return Reply(status=status, message=message, param="response_format")

    return behave


def shuffled(seed: int, longest: float = 0.03) -> Behaviour:
    """Good answers, each after a random wait: they complete in another order than they were asked."""
    dice = random.Random(seed)  # noqa: S311 - timing, not secrets
    return lambda _: Reply(delay=dice.uniform(0, longest))


class StubServer:
    """The server; `asked` is everything it was asked, in order of arrival, `most_at_once` the requests in flight."""

    def __init__(self, behaviour: Behaviour = lambda _: Reply()) -> None:
        self.behaviour = behaviour
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self.arrived = threading.Semaphore(0)
        self._in_flight = 0
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """What to write into the task file's `base_url`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, body: dict[str, Any], authorization: str | None) -> tuple[Asked, Reply]:
        """Note a request and decide its reply; waits as long as the reply does."""
        messages = body["messages"]
        row = row_in(body) if OPENING in messages[-1]["content"] else {}
        name = json.dumps(row or messages, sort_keys=True)
        with self._lock:
            asked = Asked(row, self._counts[name], body, authorization)
            self._counts[name] += 1
            self.asked.append(asked)
            self._in_flight += 1
            self.most_at_once = max(self.most_at_once, self._in_flight)
        self.arrived.release()
        try:
            reply = self.behaviour(asked)
            if reply.hang:
                self._closing.wait()
            elif reply.delay:
                self._closing.wait(reply.delay)
        finally:
            with self._lock:
                self._in_flight -= 1
        return asked, reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    stub: StubServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of askers that hang up, which tests make them do; anything else is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; the second must not wait for an acknowledgement
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay quiet: tests read what was asked from the server object."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked, reply = self.server.stub.take(body, self.headers["Authorization"])
        if reply.drop or reply.hang:
            self.close_connection = True
            return
        payload = reply.body if reply.body is not None else json.dumps(_payload(asked, reply)).encode()
        with suppress(ConnectionError):  # the asker may have given up
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(payload))} | reply.headers
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)


def _payload(asked: Asked, reply: Reply) -> dict[str, Any]:
    if reply.status != 200:
        return {"error": {"message": reply.message, "type": "scripted", "code": reply.code, "param": reply.param}}
    content = reply.content
    if content is None and reply.refusal is None:
        content = good_answer(asked)
    return {
        "id": "stub",
        "object": "chat.completion",
        "created": 0,
        "model": asked.body["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": reply.finish_reason,
                "message": {"role": "assistant", "content": content, "refusal": reply.refusal},
            }
        ],
        "usage": reply.usage,
    }
