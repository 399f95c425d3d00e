"""Bringing one request to its end: when it is sent, in which dialect, and after which failures it is sent again.

It is sent again only after failures that are not billed. What may have been billed (a response that did not come, or
not whole), and what still fails after `max_retries` further sendings, is the reply's error.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rebase_db.transform.provider import Limits, Reply, Request
from rebase_db.transform.providers.admission import Admission
from rebase_db.transform.providers.completion import Completion
from rebase_db.transform.providers.connection import Connection
from rebase_db.transform.providers.dialect import Dialect
from rebase_db.transform.providers.failure import Failure
from rebase_db.transform.providers.retry_after import DEFAULT_SECONDS, backoff_seconds
from rebase_db.transform.providers.token_estimate import estimated_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rebase_db.task.teachers import OpenAITeacherSpec

LONGEST_WAIT_SECONDS = 60.0
"""Where the server wants to be left alone for longer, the request comes back as an error, to be made again later."""


class Call:
    """What is asked together: requests, of which one at a time is taken, and the schema of their answers."""

    def __init__(self, requests: Iterable[Request], schema: Mapping[str, Any], name: str) -> None:
        self.requests, self.schema, self.name = iter(requests), schema, name
        self.turn = asyncio.Lock()

    def end(self) -> None:
        """Take no further request."""
        self.requests = iter(())


@dataclass(slots=True)
class _Progress:
    """A request on its way.

    Attributes:
        began: When it was first sent, in seconds of no certain epoch.
        reserved: Tokens, for the sending that comes next or is under way.
        repeats: Sendings that count against `max_retries`.
    """

    request: Request
    began: float = 0.0
    reserved: int = 0
    sendings: int = 0
    repeats: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began


class Asker:
    """Asks a server for completions; all that asks at once shares its limits and what was learned of the server.

    Raises:
        TeacherError: The environment variable named for the key is not set.
    """

    def __init__(self, spec: OpenAITeacherSpec) -> None:
        self._spec = spec
        self._connection = Connection(spec)
        self._dialect = Dialect.of(spec.response_format)
        self._admission = Admission(spec.requests_per_minute, spec.tokens_per_minute)
        self._in_flight = asyncio.Semaphore(spec.concurrency)
        self._dice = random.Random()  # noqa: S311 - jitter, not secrets
        self._constant: dict[str, Any] = {"model": spec.model}
        if spec.temperature is not None:
            self._constant["temperature"] = spec.temperature
        if spec.seed is not None:
            self._constant["seed"] = spec.seed

    @property
    def limits(self) -> Limits:
        """As the task file has them."""
        spec = self._spec
        return Limits(spec.max_tokens, spec.context_tokens, spec.concurrency, spec.input_price, spec.output_price)

    async def next_reply(self, call: Call) -> Reply | None:
        """The reply to the call's next request, which is taken when there is room for it; None when none is left.

        Raises:
            TeacherError: The server refuses the key, the model or the account.
        """
        async with self._in_flight:
            async with call.turn:  # so no more than one is taken and waits to be sent
                request = next(call.requests, None)
                if request is None:
                    return None
                progress, dialect = _Progress(request), self._dialect
                await self._enter(progress)
            outcome = await self._send(progress, dialect, call)
        while isinstance(outcome, Failure):
            simpler = dialect.without(outcome.status, outcome.complaint)
            if simpler is not None:
                dialect = simpler
            elif outcome.fatal is not None:
                raise outcome.fatal
            elif self._may_repeat(progress, outcome):
                if not outcome.rate_limited:  # that holds all requests
                    await asyncio.sleep(self._wait(progress, outcome))
                progress.repeats += 1
            else:
                return self._error(progress, outcome)
            progress.failures.append(outcome.error)
            async with self._in_flight:
                await self._enter(progress)
                dialect = dialect.joined(self._dialect)
                outcome = await self._send(progress, dialect, call)
        # Only what works is kept for other requests: a message may name a field for another reason.
        self._dialect = dialect.joined(self._dialect)
        return self._reply(progress, outcome, dialect)

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def _enter(self, progress: _Progress) -> None:
        if self._admission.counts_tokens:
            progress.reserved = estimated_tokens(progress.request.messages) + self._spec.max_tokens
        await self._admission.enter(progress.reserved)

    async def _send(self, progress: _Progress, dialect: Dialect, call: Call) -> Completion | Failure:
        if not progress.sendings:
            progress.began = time.perf_counter()
        progress.sendings += 1
        fields = dialect.fields(self._spec.max_tokens, call.schema, call.name)
        outcome = await self._connection.send({**self._constant, **fields, "messages": progress.request.messages})
        if isinstance(outcome, Completion):
            used = outcome.usage.total
            self._admission.give_back(0 if used is None else progress.reserved - used)
        else:
            self._admission.give_back(0 if outcome.maybe_billed else progress.reserved)
            if outcome.rate_limited:  # before others can follow
                self._admission.hold(self._wait(progress, outcome))
        return outcome

    def _may_repeat(self, progress: _Progress, failure: Failure) -> bool:
        patient = (failure.told_seconds or 0) <= LONGEST_WAIT_SECONDS
        return failure.repeatable and patient and progress.repeats < self._spec.max_retries

    def _wait(self, progress: _Progress, failure: Failure) -> float:
        if failure.told_seconds is not None:
            return failure.told_seconds
        return backoff_seconds(progress.repeats, self._dice)

    def _reply(self, progress: _Progress, completion: Completion, dialect: Dialect) -> Reply:
        usage = completion.usage
        return Reply(
            key=progress.request.key,
            text=completion.text,
            latency_seconds=progress.seconds,
            refusal=completion.refusal,
            finish_reason=completion.finish_reason,
            usage=self.limits.usage(usage.prompt_tokens, usage.completion_tokens),
            response_form=dialect.form,
            requests=progress.sendings,
            failures=tuple(progress.failures),
        )

    def _error(self, progress: _Progress, failure: Failure) -> Reply:
        again = DEFAULT_SECONDS if failure.told_seconds is None else failure.told_seconds
        return Reply(
            key=progress.request.key,
            text=None,
            latency_seconds=progress.seconds,
            requests=progress.sendings,
            failures=tuple(progress.failures),
            error=failure.error,
            retry_after=again if failure.passing else None,
            rate_limited=failure.rate_limited,
            maybe_billed=failure.maybe_billed,
        )
