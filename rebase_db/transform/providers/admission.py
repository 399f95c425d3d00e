"""When a request may be sent: not while the server wants to be left alone, and no faster than the task file allows.

The limits are held by spacing: a request waits for as long as those before it take at the rate. So there is no burst to
begin with, and room that was reserved but not used goes back. In any minute
  - no more than `requests_per_minute` requests are sent, and
  - no more than `tokens_per_minute` tokens are reserved, those of the last request left aside.
For that, time unused counts for up to one second, and a minute's worth is spread over 61.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

_SLACK_SECONDS = 1.0


class _Rate:
    def __init__(self, per_minute: int) -> None:
        # A little more, so that rounding lets none in that is due when the minute is over.
        self._seconds = (60 + _SLACK_SECONDS) * (1 + 1e-9) / per_minute
        self.free_at = -math.inf

    def take(self, amount: float, now: float) -> None:
        self.free_at = max(self.free_at, now - _SLACK_SECONDS) + amount * self._seconds


class Admission:
    """Lets requests pass one by one, first come, first served; for use within one event loop.

    Args:
        requests_per_minute: None for no limit.
        tokens_per_minute: The same for tokens, of prompts and answers together.
    """

    def __init__(self, requests_per_minute: int | None = None, tokens_per_minute: int | None = None) -> None:
        self._requests = _Rate(requests_per_minute) if requests_per_minute else None
        self._tokens = _Rate(tokens_per_minute) if tokens_per_minute else None
        self._held_until = -math.inf
        self._turn = asyncio.Lock()
        self._sooner = asyncio.Event()

    @property
    def counts_tokens(self) -> bool:
        """Whether `enter` has use for a number of tokens."""
        return self._tokens is not None

    async def enter(self, tokens: int) -> None:
        """Wait until a request that may take so many tokens can be sent, and reserve them."""
        async with self._turn:
            clock = asyncio.get_running_loop()
            while (left := self._opens_at() - clock.time()) > 0:
                self._sooner.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._sooner.wait()
            if self._requests:
                self._requests.take(1, clock.time())
            if self._tokens:
                self._tokens.take(tokens, clock.time())

    def give_back(self, tokens: int) -> None:
        """Make room for tokens that were reserved and not used; a negative number takes what was used above that."""
        if self._tokens:
            self._tokens.take(-tokens, -math.inf)
            self._sooner.set()

    def hold(self, seconds: float) -> None:
        """Let nothing pass for so long."""
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + seconds)

    def _opens_at(self) -> float:
        return max(self._held_until, *(rate.free_at for rate in (self._requests, self._tokens) if rate), -math.inf)
