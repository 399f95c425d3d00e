"""A teacher behind an OpenAI-compatible server: many requests in flight, answers given as they come in.

The client's event loop runs in a thread of its own, so that requests go on while the caller writes answers to the
database. Requests are repeated by the client library on 408, 409, 429, 5xx, timeouts and dropped connections, after the
server's Retry-After or a growing wait; what still fails then is the row's error.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import openai

from rebase_db.errors import TeacherError
from rebase_db.transform.answer import answer_schema, parse_answer
from rebase_db.transform.completion import Completion, read_completion
from rebase_db.transform.prompt import Messages, RewritePrompt, prompt_hash
from rebase_db.transform.retry_after import retry_after_seconds
from rebase_db.transform.teacher import (
    Answer,
    ParsedExample,
    PromptTemplate,
    Rejection,
    SourceRow,
    Usage,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rebase_db.task.file import TaskFile
    from rebase_db.task.teachers import OpenAITeacherSpec

_CONNECT_SECONDS = 10.0
# What the library takes as worth repeating: https://github.com/openai/openai-python, "Retries".
_REPEATABLE = frozenset({408, 409, 429})
_SERVER_FAULT = 500


@dataclass(frozen=True, slots=True)
class _Failure:
    """A request without an answer; `fatal` when no other row would fare better."""

    error: str
    retry_after: float | None = None
    fatal: TeacherError | None = None


class OpenAIServerTeacher:
    """Asks the server once a row, `concurrency` rows at a time, for JSON by the answer's schema.

    The key is read from the environment when the teacher is made and shown nowhere: not in errors, whatever the server
    says in them, not in `identity`.

    Raises:
        TeacherError: The environment variable named for the key is not set.
    """

    def __init__(self, spec: OpenAITeacherSpec, task: TaskFile) -> None:
        self._spec = spec
        self._labels, self._reasoning = task.labels, task.reasoning
        self._prompt = RewritePrompt(task)
        self._key = _key(spec.api_key_env)
        self._client = openai.AsyncOpenAI(
            # Without a key of its own a server must not be sent the one in OPENAI_API_KEY, the library's default.
            api_key=self._key or "none",
            base_url=spec.base_url,
            timeout=openai.Timeout(spec.timeout_seconds, connect=min(_CONNECT_SECONDS, spec.timeout_seconds)),
            max_retries=spec.max_retries,
        )
        self._options: dict[str, Any] = {
            "model": spec.model,
            "max_completion_tokens": spec.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "example",
                    "strict": True,
                    "schema": answer_schema(task.labels, reasoning=task.reasoning),
                },
            },
        }
        if spec.temperature is not None:
            self._options["temperature"] = spec.temperature
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-teacher", daemon=True)
        self._thread.start()

    @property
    def identity(self) -> dict[str, Any]:
        """Server, model and sampling; how fast, how often and at what price they are asked shapes no answer."""
        return {
            "provider": "openai",
            "model": self._spec.model,
            "endpoint": self._spec.base_url.rstrip("/"),
            "sampling": {
                "temperature": self._spec.temperature,
                "max_tokens": self._spec.max_tokens,
                "response_format": "json_schema",
            },
        }

    @property
    def prompt(self) -> PromptTemplate:
        """The template of the messages."""
        return self._prompt.template

    def answer(self, rows: Sequence[SourceRow]) -> Iterator[Answer]:
        """One answer for each row, as they come in.

        Raises:
            TeacherError: The key, the model or the account is refused; answers that came before are given first.
        """
        if self._loop.is_closed():
            raise RuntimeError("this teacher is closed")
        answers: SimpleQueue[Answer | None] = SimpleQueue()
        asking = asyncio.run_coroutine_threadsafe(self._ask_all(rows, answers), self._loop)
        asking.add_done_callback(lambda _: answers.put(None))
        try:
            while (answer := answers.get()) is not None:
                yield answer
            asking.result()
        finally:
            asking.cancel()

    def close(self) -> None:
        """Drop what is in flight, close the connections and end the thread.

        An iterator of `answer` that is still waiting in another thread raises `concurrent.futures.CancelledError`.
        """
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _shut_down(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    async def _ask_all(self, rows: Iterable[SourceRow], answers: SimpleQueue[Answer | None]) -> None:
        waiting = iter(rows)  # shared: each of the askers takes its next row from it

        async def ask_some() -> None:
            for row in waiting:
                answers.put(await self._ask(row))

        askers = [asyncio.create_task(ask_some()) for _ in range(self._spec.concurrency)]
        try:
            await asyncio.gather(*askers)
        finally:
            for asker in askers:
                asker.cancel()
            await asyncio.gather(*askers, return_exceptions=True)

    async def _ask(self, row: SourceRow) -> Answer:
        messages = self._prompt.messages(row)
        started = time.perf_counter()
        reply = await self._request(messages)
        seconds = time.perf_counter() - started
        if isinstance(reply, _Failure):
            if reply.fatal is not None:
                raise reply.fatal
            return Answer(
                link_id=row.link_id,
                prompt_hash=prompt_hash(messages),
                raw=None,
                finish_reason=None,
                usage=Usage(),
                latency_seconds=seconds,
                error=reply.error,
                retry_after=reply.retry_after,
            )
        outcome = parse_answer(
            reply.text,
            finish_reason=reply.finish_reason,
            refusal=reply.refusal,
            labels=self._labels,
            reasoning=self._reasoning,
        )
        return Answer(
            link_id=row.link_id,
            prompt_hash=prompt_hash(messages),
            raw=reply.text if reply.text is not None else reply.refusal,
            finish_reason=reply.finish_reason,
            usage=reply.usage_at(self._spec.input_price, self._spec.output_price),
            latency_seconds=seconds,
            parsed=outcome if isinstance(outcome, ParsedExample) else None,
            reject_reason=str(outcome) if isinstance(outcome, Rejection) else None,
        )

    async def _request(self, messages: Messages) -> Completion | _Failure:
        # Failures are returned: an exception raised here would carry the library's, and with it the request's headers.
        try:
            reply = await self._client.chat.completions.with_raw_response.create(
                messages=cast("Any", messages), **self._options
            )
        except openai.APIStatusError as error:
            return self._status_failure(error)
        except openai.APITimeoutError:
            return _Failure(f"no answer within {self._spec.timeout_seconds:g} s", retry_after_seconds(None))
        except openai.APIConnectionError as error:
            cause = f": {error.__cause__}" if error.__cause__ else ""
            text = f"the connection to {self._spec.base_url} failed{cause}"
            return _Failure(self._safe(text), retry_after_seconds(None))
        completion = read_completion(reply.content)
        if completion is None:
            text = f"the server's reply is no chat completion: {reply.text!r}"
            return _Failure(self._safe(text), retry_after_seconds(None))
        return completion

    def _status_failure(self, error: openai.APIStatusError) -> _Failure:
        status, spec = error.status_code, self._spec
        told = error.body["message"] if isinstance(error.body, dict) and "message" in error.body else error.body
        text = f"HTTP {status}: {self._safe(str(told))}"
        if status in {401, 403}:  # the server's words are left out: they tend to quote the key in part
            key = f"the key in {spec.api_key_env}" if spec.api_key_env else "a request without a key"
            hint = (
                "Check the key." if spec.api_key_env else "Name the environment variable with the key in api_key_env."
            )
            return _Failure(text, fatal=TeacherError(f"{spec.base_url} refuses {key} (HTTP {status})", hint=hint))
        if status == 404:  # noqa: PLR2004 - HTTP's number for it
            message = f"{spec.base_url} has no model {spec.model!r} to ask ({text})"
            hint = "Check teacher.model, and whether base_url should end in /v1."
            return _Failure(text, fatal=TeacherError(message, hint=hint))
        if error.code == "insufficient_quota":  # a 429 by number, but one that waiting does not mend
            return _Failure(text, fatal=TeacherError(f"{spec.base_url} says the account has no quota left ({text})"))
        if status in _REPEATABLE or status >= _SERVER_FAULT:
            return _Failure(text, retry_after_seconds(error.response.headers.get("retry-after")))
        return _Failure(text)

    def _safe(self, text: str) -> str:
        # The key goes before the cut: a part of it would pass unseen.
        return shorten(text.replace(self._key, "[key]") if self._key else text)


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        hint = f"Set it to the key of the teacher's server: export {variable}=…"
        raise TeacherError(f"the environment variable {variable} is not set", hint=hint)
    if not (key.isascii() and key.isprintable()):  # the header's encoder would quote the key in its error
        raise TeacherError(f"the environment variable {variable} holds no key: it has characters no header can carry")
    return key
