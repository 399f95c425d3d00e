"""The connections to an OpenAI-compatible server: one sending at a time, its failures told apart.

The library's own retries are turned off, so that every sending is known. It sends by aiohttp, which takes a third of
the processor time of its default at some hundred connections, and its models are left aside for the same reason.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx2
import openai

from rebase_db.errors import TeacherError
from rebase_db.transform.providers.completion import Completion, read_completion
from rebase_db.transform.providers.failure import Failure, FailureReader

if TYPE_CHECKING:
    from rebase_db.task.teachers import OpenAITeacherSpec

_CONNECT_SECONDS = 10.0
# Servers close what is idle, most after 5 s: a request that crosses that would be lost, and perhaps billed.
_IDLE_SECONDS = 2.0


class Connection:
    """A server, with the key from the environment, which is shown nowhere: not in failures, whatever the server says.

    Raises:
        TeacherError: The environment variable named for the key is not set.
    """

    def __init__(self, spec: OpenAITeacherSpec) -> None:
        key = _key(spec.api_key_env)
        self._failures = FailureReader(spec, key)
        self._seconds = spec.timeout_seconds
        self._client = openai.AsyncOpenAI(
            # Without a key of its own a server must not be sent the one in OPENAI_API_KEY, the library's default.
            api_key=key or "none",
            base_url=spec.base_url,
            timeout=openai.Timeout(None, connect=min(_CONNECT_SECONDS, spec.timeout_seconds)),
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=spec.concurrency, keepalive_expiry=_IDLE_SECONDS)
            ),
        )

    async def send(self, body: dict[str, Any]) -> Completion | Failure:
        """Ask for a chat completion, once."""
        # Failures are returned: an exception raised here would carry the library's, and with it the request's headers.
        try:
            async with asyncio.timeout(self._seconds):  # of the whole: a trickle of white space keeps no one waiting
                response = await self._client.post("/chat/completions", cast_to=httpx2.Response, body=body)
        except openai.APIStatusError as error:
            return self._failures.of_status(error)
        except (openai.APIConnectionError, aiohttp.ClientError) as error:
            return self._failures.of_connection(error)
        except TimeoutError:
            return self._failures.of_timeout()
        return read_completion(response.content) or self._failures.of_body(response.text)

    async def close(self) -> None:
        """Close what is open."""
        await self._client.close()


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
