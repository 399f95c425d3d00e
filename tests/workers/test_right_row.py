"""Thousands of rows, a server that fails in every way, a worker that is killed: each example is its own row's."""

from __future__ import annotations

import itertools
import json
import random
import re
import signal
import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db import queue
from tests.cli.conftest import enqueue
from tests.pipeline.end_state import illegal_events
from tests.queue.rows import make_ready
from tests.transform.stub_server import Asked, Reply, StubServer
from tests.workers.world import WorkerProcess, Workshop, opened, until

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

ROWS = 3000
SEED = 20261121
AT_ONCE = 32
TIMEOUT_SECONDS = 2.0
NONCE = re.compile(r"call-\d+;")

# What becomes of a request, in per mille; the rest is answered well.
MISHAPS = {
    "turned away": 40,
    "turned away for longer": 3,
    "server fault": 40,
    "refused for good": 4,
    "hangs": 3,
    "late": 3,
    "dropped": 15,
    "dropped half-way": 15,
    "no completion": 10,
    "cut answer": 30,
    "cut answer that says it is whole": 30,
    "refusal": 30,
    "two answers": 10,
    "words around it": 40,
}
WELL = {"well", "words around it"}


@dataclass(frozen=True)
class Served:
    """One request's answer: the row that the server saw in the prompt, what it did, and what it said, if anything."""

    row: dict[str, str]
    kind: str
    said: str | None


class Remembering:
    """Answers by dice that depend on the row and on how often it was asked, and remembers every answer by its nonce."""

    def __init__(self) -> None:
        self.served: dict[str, Served] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Reply:
        dice = random.Random(f"{SEED} {sorted(asked.row.items())} {asked.before}")  # noqa: S311 - no secret
        kind = dice.choices([*MISHAPS, "well"], [*MISHAPS.values(), 1000 - sum(MISHAPS.values())])[0]
        with self._lock:
            nonce = f"call-{next(self._numbers)};"
        well = json.dumps({"input": f"{nonce} {asked.row['letter']}", "output": dice.choice(["yes", "no"])})
        reply = _reply(kind, nonce, well, dice)
        said = reply.refusal if reply.content is None else reply.content
        with self._lock:
            self.served[nonce] = Served(asked.row, kind, said)
        return reply

    def kinds(self) -> Counter[str]:
        with self._lock:
            return Counter(each.kind for each in self.served.values())


def _reply(kind: str, nonce: str, well: str, dice: random.Random) -> Reply:
    delay = dice.expovariate(1 / 0.03)  # so that answers come in another order than they were asked for
    cut = well[: len(well) - dice.randint(1, 12)]
    whole = json.dumps({"choices": [{"message": {"content": well}}]}).encode()
    broken_off = {"Content-Length": str(len(whole) + 40), "Connection": "close"}
    replies = {
        "well": Reply(well),
        "words around it": Reply(f"Here it is:\n```json\n{well}\n```"),
        "turned away": Reply(status=429, headers={"Retry-After": "0.05"}),
        "turned away for longer": Reply(status=429, headers={"Retry-After": "1"}),
        "server fault": Reply(status=dice.choice([500, 502, 503])),
        "refused for good": Reply(status=422, message=f"{nonce} not this one"),
        "hangs": Reply(hang=True),
        "late": Reply(well, delay=TIMEOUT_SECONDS * 1.5),  # who asked has hung up, and asks for other rows by then
        "dropped": Reply(drop=True),
        "dropped half-way": Reply(body=whole, headers=broken_off),
        "no completion": Reply(body=whole[:-7]),
        "cut answer": Reply(cut, finish_reason="length"),
        "cut answer that says it is whole": Reply(cut),
        "refusal": Reply(refusal=f"{nonce} I would rather not."),
        "two answers": Reply(f"{well}\n{well.replace('yes', 'no')}"),
    }
    return replace(replies[kind], delay=replies[kind].delay or delay)


def wait_for(workshop: Workshop, workers: list[WorkerProcess]) -> None:
    """Wait until they have ended, and let no row wait long for its next attempt."""

    def ended() -> bool:
        with workshop.engine.begin() as connection:
            make_ready(connection, queue.TRANSFORM)
        return all(each.process.poll() is not None for each in workers)

    until(ended, "the workers end", seconds=240)
    for each in workers:
        assert each.end() == 0, each.said()


MADE = "SELECT (SELECT count(*) FROM generation), (SELECT count(*) FROM example)"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("form", ["json_schema", "text"])  # the second is read leniently, and mended
def test_every_example_is_of_the_row_that_the_server_saw(
    engine: Engine, database_url: str, tmp_path: Path, form: str
) -> None:
    remembering = Remembering()
    with StubServer(remembering) as server, opened(Workshop(tmp_path, database_url, engine)) as workshop:
        settings = {"concurrency": AT_ONCE, "timeout_seconds": TIMEOUT_SECONDS, "max_retries": 2}
        links = enqueue(engine, server.url, ROWS, response_format=form, **settings)
        # What the links hang on has a history of its own, and calls and examples that nobody was asked for.
        before = illegal_events(engine)
        calls_before, examples_before = workshop.query(MADE)[0]
        arguments = ("--stage", "transform", "--concurrency", "2", "--drain")
        first, second = (workshop.work(*arguments) for _ in range(2))
        until(lambda: len(remembering.served) > ROWS // 2, "half of the rows are asked for")
        assert first.process.poll() is None, first.said()
        first.signal(signal.SIGKILL)
        assert first.end() == -signal.SIGKILL
        wait_for(workshop, [second, workshop.work(*arguments)])

        asked = remembering.kinds()
        assert set(asked) == {*MISHAPS, "well"}, f"the dice gave too few kinds: {asked}"
        killed = workshop.query("SELECT count(*) FROM event WHERE event = 'rescue'")[0]
        assert 0 < killed <= 4 * AT_ONCE, f"{killed} rows of the killed worker were taken by others"

        calls, examples = workshop.query(MADE)[0]
        calls, examples = calls - calls_before, examples - examples_before
        states = dict(workshop.query("SELECT state, count(*) FROM retrieval_link GROUP BY state"))
        numbers = f"{ROWS} rows: {states}; {calls} calls, {examples} examples; requests: {dict(asked)}"
        assert wrong_links(workshop, links) == [], numbers
        found, wrong = wrong_calls(workshop, remembering.served, links)
        assert wrong == [], numbers
        assert found == calls, numbers
        found, wrong = wrong_examples(workshop, remembering.served, links)
        assert wrong == [], f"{len(wrong)} examples are wrong; {numbers}"
        assert found == examples > 0.8 * ROWS, numbers
        assert illegal_events(engine) == before, numbers


def wrong_links(workshop: Workshop, links: list[int]) -> list[Any]:
    """Links without a final state, or without a reason where they need one, or whose last call says otherwise."""
    return workshop.query(
        """
        SELECT link_id, link.state, link.attempt, link.error, count(*), count(example_id), min(outcome)
        FROM retrieval_link AS link
        LEFT JOIN generation USING (link_id, attempt) LEFT JOIN example USING (generation_id, link_id)
        WHERE link_id = ANY(:links)
        GROUP BY link_id
        HAVING NOT coalesce(CASE link.state
            WHEN 'transformed' THEN link.error IS NULL AND count(example_id) = 1 AND min(outcome) = 'parsed'
            WHEN 'rejected' THEN link.error <> '' AND (
                (min(outcome) = 'rejected' AND link.error = min(generation.reason))
                OR (min(outcome) = 'parsed' AND link.error LIKE '%: the example failed this check')
            )
            WHEN 'failed' THEN link.error <> '' AND min(outcome) = 'error' AND link.error = min(generation.reason)
        END AND count(*) = 1, false)""",
        links=links,
    )


def wrong_calls(workshop: Workshop, served: dict[str, Served], links: list[int]) -> tuple[int, list[Any]]:
    """How many calls there are, and those whose answer was never given, or for another row, or used before.

    Also wrong are those without outcome or reason, and two of one attempt.
    """
    wrong: list[Any] = workshop.query(
        """
        SELECT 'outcome', generation_id, outcome, reason FROM generation
        WHERE link_id = ANY(:links) AND (
            (outcome = 'parsed') = (reason IS NOT NULL) OR reason = ''
            OR (outcome = 'error') = (raw_answer IS NOT NULL) OR requests = 0
            OR (outcome = 'parsed') <> EXISTS (
                SELECT FROM example WHERE example.generation_id = generation.generation_id
            )
        )
        UNION ALL
        SELECT 'twice', link_id, CAST(attempt AS text), CAST(count(*) AS text) FROM generation
        GROUP BY link_id, attempt HAVING count(*) > 1""",
        links=links,
    )
    used: Counter[str] = Counter()
    found = workshop.query(
        """
        SELECT generation_id, raw_answer, content FROM generation
        JOIN retrieval_link USING (link_id) JOIN source_row USING (dataset_id, row_id)
        WHERE link_id = ANY(:links)""",
        links=links,
    )
    for generation_id, raw, content in found:
        if raw is None:
            continue
        nonce = NONCE.search(raw)
        one = served.get(nonce[0]) if nonce else None
        if nonce is None or one is None or (one.row, one.said) != (content, raw):
            wrong.append(("answer", generation_id, raw, content, one))
        else:
            used[nonce[0]] += 1
    return len(found), wrong + [("used before", nonce, times) for nonce, times in used.items() if times > 1]


def wrong_examples(workshop: Workshop, served: dict[str, Served], links: list[int]) -> tuple[int, list[Any]]:
    """How many examples there are, and those that are not of the very request that they quote and of its row."""
    found = workshop.query(
        """
        SELECT example_id, input, output, raw_answer, example.link_id = generation.link_id, content FROM example
        JOIN generation USING (generation_id)
        JOIN retrieval_link AS link ON link.link_id = generation.link_id
        JOIN source_row USING (dataset_id, row_id)
        WHERE link.link_id = ANY(:links)""",
        links=links,
    )
    wrong: list[Any] = []
    for example_id, text, output, raw, same_link, content in found:
        nonce = NONCE.match(text)
        one = served.get(nonce[0]) if nonce else None
        right = (
            nonce is not None
            and one is not None
            and same_link
            and one.row == content
            and one.said == raw
            and f'"output": "{output}' in raw
            # What was cut may be mended: the row's own text then still stands there, as far as the server gave it.
            and (text == f"{nonce[0]} {content['letter']}" or one.kind not in WELL)
        )
        if not right:
            wrong.append((example_id, text, output, raw, content, one))
    return len(found), wrong
