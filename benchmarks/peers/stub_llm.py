"""An OpenAI-compatible server whose answers all take the same time, and which costs next to nothing.

`python benchmarks/peers/stub_llm.py --latency 1` prints its port; each line on its standard input is answered with what
it saw since the last, as JSON (see `Seen`); it ends with its standard input. It needs uvloop and nothing of ours.

Prompts must hold `row 000123: some words.`; the answer is JSON with the keys `input` (the words, last first) and
`output` (`yes` for even rows, `no` for odd ones), whatever format was asked for. The latency runs from the last byte of
a request to the first of its answer. With `--spread 0.9` it is not the same for all rows but evenly between 0.1 and 1.9
times as long, the same for a row whoever asks. Anything else than a row is answered at once, with what curator's trial
of structured output wants to see.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast
from zlib import crc32

import uvloop

ROW = re.compile(rb"row (\d{6}): ([a-z ]+)\.")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-ratelimit-limit-requests: 10000000\r\n"
    b"x-ratelimit-limit-tokens: 1000000000\r\nx-ratelimit-remaining-requests: 10000000\r\n"
    b"x-ratelimit-remaining-tokens: 1000000000\r\ncontent-length: %d\r\n\r\n"
)
ANSWER = (
    b'{"id":"chatcmpl-%d","object":"chat.completion","created":1750000000,"model":"gpt-4o-mini","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"{\\"%b\\": \\"%b\\", \\"%b\\": \\"%b\\"}"},'
    b'"finish_reason":"stop","logprobs":null}],'
    b'"usage":{"prompt_tokens":%d,"completion_tokens":40,"total_tokens":%d}}'
)


@dataclass
class Seen:
    """What came in since the last report.

    Attributes:
        requests: Answers sent to prompts with a row in them.
        rows: How many different rows these were.
        others: Answers to anything else, such as a client's trial request.
        most: The most requests that were in flight at the same time.
        first: When the first request with a row was there, in seconds of a clock that all processes share.
        last: When the last answer to one was sent.
        cpu: This process's CPU, in seconds.
    """

    requests: int = 0
    rows: int = 0
    others: int = 0
    most: int = 0
    first: float = 0.0
    last: float = 0.0
    cpu: float = 0.0


@dataclass
class Server:
    """The state that all connections share."""

    latency: float
    spread: float = 0.0
    in_flight: int = 0
    seen: Seen = field(default_factory=Seen)
    numbers: set[bytes] = field(default_factory=set)
    used: float = field(default_factory=time.process_time)

    def latency_of(self, number: bytes) -> float:
        """Seconds the answer to a row takes."""
        share = crc32(number) / 2**32
        return self.latency * (1 + self.spread * (2 * share - 1))

    def report(self) -> bytes:
        """What was seen, as a line; then anew."""
        used = time.process_time()
        self.seen.rows, self.seen.cpu = len(self.numbers), used - self.used
        line = json.dumps(asdict(self.seen)).encode() + b"\n"
        self.seen, self.numbers, self.used = Seen(), set(), used
        return line


class Connection(asyncio.Protocol):
    """A client's connection, kept alive, one request at a time on it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer a request, once it is whole, when its time has come."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self._buffer, 0, end)
        if len(self._buffer) < end + 4 + (int(length[1]) if length else 0):
            return
        row = ROW.search(self._buffer, end)
        tokens, self._buffer = len(self._buffer) // 4, b""
        server = self._server
        if row is None:
            server.seen.others += 1
            self._send(ANSWER % (0, b"name", b"Jason", b"age", b"25", tokens, tokens + 40))
            return
        server.in_flight += 1
        server.seen.most = max(server.seen.most, server.in_flight)
        server.seen.first = server.seen.first or time.monotonic()
        self._loop.call_later(server.latency_of(row[1]), self._answer, row, tokens)

    def _answer(self, row: re.Match[bytes], tokens: int) -> None:
        number, words = row.groups()
        output = b"no" if int(number) % 2 else b"yes"
        asked = b" ".join(words.split()[::-1])
        self._send(ANSWER % (int(number), b"input", asked, b"output", output, tokens, tokens + 40))
        seen = self._server.seen
        self._server.in_flight -= 1
        self._server.numbers.add(number)
        seen.requests += 1
        seen.last = time.monotonic()

    def _send(self, body: bytes) -> None:
        self._transport.write(HEAD % len(body) + body)


async def serve(latency: float, spread: float, port: int) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = Server(latency, spread)
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", port, backlog=2048)
    print(listening.sockets[0].getsockname()[1], flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while await commands.readline():
        sys.stdout.buffer.write(server.report())
        sys.stdout.buffer.flush()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds an answer takes")
    parser.add_argument("--spread", type=float, default=0.0, help="share by which it may be longer or shorter")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parsed = parser.parse_args()
    uvloop.run(serve(parsed.latency, parsed.spread, parsed.port))


if __name__ == "__main__":
    main()
