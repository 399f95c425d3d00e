"""An OpenAI-compatible server as a provider: many requests in flight, replies given as they come in.

The client's event loop runs in a thread of its own, so that requests go on while the caller writes replies to the
database.
"""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from rebase_db.transform.providers.asker import Asker, Call
from rebase_db.transform.providers.token_estimate import estimated_tokens, most_tokens

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from rebase_db.task.teachers import OpenAITeacherSpec
    from rebase_db.transform.provider import Limits, Messages, Reply, Request


class OpenAIServer:
    """Sends messages for JSON by a schema, or by what less the server understands, `concurrency` at a time.

    Raises:
        TeacherError: The environment variable named for the key is not set.
    """

    def __init__(self, spec: OpenAITeacherSpec) -> None:
        self._spec = spec
        self._asker = Asker(spec)
        self._closing = threading.Lock()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-server", daemon=True)
        self._thread.start()

    @property
    def identity(self) -> dict[str, Any]:
        """Server, model and sampling; how fast, how often and at what price they are asked shapes no reply.

        `auto` goes as `json_schema`, which it is wherever the server knows it.
        """
        spec = self._spec
        form = "json_schema" if spec.response_format == "auto" else spec.response_format
        sampling = {"temperature": spec.temperature, "max_tokens": spec.max_tokens, "response_format": form}
        return {
            "provider": "openai",
            "model": spec.model,
            "endpoint": spec.base_url.rstrip("/"),
            "sampling": sampling if spec.seed is None else sampling | {"seed": spec.seed},
        }

    @property
    def limits(self) -> Limits:
        """As the task file has them."""
        return self._asker.limits

    def count_tokens(self, messages: Messages) -> int:
        """An estimate: the tokenizer is the server's own."""
        return estimated_tokens(messages)

    def most_tokens(self, messages: Messages) -> int:
        """A token for each byte, and the chat template's."""
        return most_tokens(messages)

    def ask(self, requests: Iterable[Request], schema: Mapping[str, Any], name: str) -> Generator[Reply, None, None]:
        """One reply for each request, as they come in; asking begins with the first `next`.

        Raises:
            TeacherError: The key, the model or the account is refused; what was under way is answered first, and
                what is left without a reply is not billed.
        """
        call = Call(requests, schema, name)
        replies: SimpleQueue[Reply | None] = SimpleQueue()
        with self._closing:  # what is begun before `close` is ended by it
            if self._closed:
                raise RuntimeError("this provider is closed")
            asking = asyncio.run_coroutine_threadsafe(self._answer_all(call, replies), self._loop)
        asking.add_done_callback(lambda _: replies.put(None))
        try:
            while (reply := replies.get()) is not None:
                yield reply
            asking.result()
        finally:
            asking.cancel()

    def close(self) -> None:
        """Drop what is in flight, close the connections and end the thread.

        An iterator of `ask` that is still waiting in another thread raises `concurrent.futures.CancelledError`.
        """
        with self._closing:
            if self._closed:
                return
            self._closed = True
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _shut_down(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._asker.close()
        await self._loop.shutdown_default_executor()

    async def _answer_all(self, call: Call, replies: SimpleQueue[Reply | None]) -> None:
        async def answer_some() -> None:
            try:
                while (reply := await self._asker.next_reply(call)) is not None:
                    replies.put(reply)
            except BaseException:
                # What else is under way may be answered, and billed: it is waited for, so that only what was refused
                # comes without a reply.
                call.end()
                raise

        tasks = [asyncio.create_task(answer_some()) for _ in range(self._spec.concurrency)]
        try:
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if outcome is not None:
                    raise outcome
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
