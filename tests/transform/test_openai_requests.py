"""What is sent, and that each reply is the one to its request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from rebase_db.hashing import canonical_json
from rebase_db.transform.provider import Provider, Reply, Request, ResponseForm, Usage
from rebase_db.transform.providers.openai_server import OpenAIServer
from tests.transform import stub_server
from tests.transform.openai_asking import KEY, SCHEMA, ask, number_of, only, requests, spec
from tests.transform.stub_server import Asked, StubServer, shuffled

Serve = Callable[..., StubServer]


def assert_each_reply_is_to_its_request(server: StubServer, replies: list[Reply], count: int) -> None:
    assert sorted(reply.key for reply in replies) == [request.key for request in requests(count)]
    for reply in replies:  # the stub's input quotes the row its prompt carried
        if reply.text is not None and reply.text.endswith("}"):
            assert json.loads(json.loads(reply.text)["input"]) == {"text": f"row {reply.key - 1000}"}
    assert {number_of(asked) for asked in server.asked} == set(range(count))


def _end(provider: OpenAIServer, asked: Iterable[Request], ended: list[BaseException]) -> None:
    """Ask until the provider is closed."""
    try:
        list(provider.ask(asked, SCHEMA, "example"))
    except CancelledError as error:
        ended.append(error)


def test_every_reply_is_to_the_request_the_server_saw(serve: Serve) -> None:
    server = serve(shuffled(seed=7))
    replies = ask(server, 300, concurrency=32)
    assert_each_reply_is_to_its_request(server, replies, 300)
    assert all(reply.text for reply in replies)
    assert [reply.key for reply in replies] != sorted(reply.key for reply in replies)
    assert 1 < server.most_at_once <= 32


@pytest.mark.usefixtures("no_backoff")
def test_every_reply_is_to_its_request_when_much_goes_wrong(serve: Serve) -> None:
    first_time = [
        stub_server.Reply(status=429, headers={"Retry-After": "0"}),
        stub_server.Reply(status=500),
        stub_server.Reply(status=409),
        stub_server.Reply(delay=0.01),
    ]
    always = {
        4: stub_server.Reply(drop=True),
        5: stub_server.Reply(content='{"input": "cut'),
        6: stub_server.Reply(refusal="no"),
        7: stub_server.Reply(status=400),
        8: stub_server.Reply(status=503),
    }

    def troubled(asked: Asked) -> stub_server.Reply:
        kind = number_of(asked) % 10
        if kind in always:
            return always[kind]
        return first_time[kind] if kind < len(first_time) and asked.before == 0 else stub_server.Reply()

    server = serve(troubled)
    replies = ask(server, 60, concurrency=16, max_retries=1)
    assert_each_reply_is_to_its_request(server, replies, 60)
    outcomes: dict[int, set[str]] = {}
    sendings: dict[int, set[int]] = {}
    for reply in replies:
        words = reply.error or reply.refusal or ("good" if (reply.text or "").endswith("}") else "cut")
        outcomes.setdefault((reply.key - 1000) % 10, set()).add(" ".join(words.split()[:2]).rstrip(":"))
        sendings.setdefault((reply.key - 1000) % 10, set()).add(reply.requests)
    assert outcomes == {
        **{kind: {"good"} for kind in (0, 1, 2, 3, 9)},
        4: {"the connection"},
        5: {"cut"},
        6: {"no"},
        7: {"HTTP 400"},
        8: {"HTTP 503"},
    }
    assert sendings == {kind: {2 if kind in {0, 1, 2, 8} else 1} for kind in range(10)}
    assert sum(reply.requests for reply in replies) == len(server.asked)


def test_replies_stream_out_while_others_are_still_asked(serve: Serve) -> None:
    release = threading.Event()

    def first_waits(asked: Asked) -> stub_server.Reply:
        if number_of(asked) == 0:
            release.wait(10)
        return stub_server.Reply()

    server = serve(first_waits)
    with closing(OpenAIServer(spec(server.url, concurrency=2))) as provider:
        replies = provider.ask(requests(4), SCHEMA, "example")
        early = [next(replies).key for _ in range(3)]
        release.set()
        assert [*early, next(replies).key] == [1001, 1002, 1003, 1000]
        assert next(replies, None) is None


def test_requests_go_on_while_the_caller_is_busy(serve: Serve) -> None:
    server = serve()
    with closing(OpenAIServer(spec(server.url, concurrency=1))) as provider:
        replies = provider.ask(requests(5), SCHEMA, "example")
        next(replies)
        for _ in range(5):
            assert server.arrived.acquire(timeout=10)
        assert len(list(replies)) == 4


def test_no_more_than_one_request_is_taken_before_it_can_be_sent(serve: Serve) -> None:
    server = serve(lambda _: stub_server.Reply(hang=True))
    taken: list[int] = []

    def rows() -> Iterator[Request]:
        for request in requests(9):
            taken.append(request.key)
            yield request

    provider = OpenAIServer(spec(server.url, concurrency=3))
    ended: list[BaseException] = []
    waiting = threading.Thread(target=_end, args=(provider, rows(), ended))
    waiting.start()
    for _ in range(3):
        assert server.arrived.acquire(timeout=10)
    provider.close()
    waiting.join(timeout=10)
    assert (taken, len(ended)) == ([1000, 1001, 1002], 1)


def test_a_rate_keeps_requests_from_being_taken(serve: Serve) -> None:
    server = serve()
    taken: list[int] = []

    def rows() -> Iterator[Request]:
        for request in requests(9):
            taken.append(request.key)
            yield request

    with closing(OpenAIServer(spec(server.url, requests_per_minute=1))) as provider:
        replies = provider.ask(rows(), SCHEMA, "example")
        assert next(replies).key == 1000
        replies.close()
    assert taken in ([1000], [1000, 1001])


def test_what_the_callers_own_requests_raise_comes_back_to_it(serve: Serve) -> None:
    def rows() -> Iterator[Request]:
        yield requests(1)[0]
        raise LookupError("no more of them")

    with closing(OpenAIServer(spec(serve().url, concurrency=1))) as provider:
        replies = provider.ask(rows(), SCHEMA, "example")
        assert next(replies).key == 1000
        with pytest.raises(LookupError, match="no more of them"):
            next(replies)
        assert len(list(provider.ask(requests(2), SCHEMA, "example"))) == 2


def test_calls_from_several_threads_share_what_may_be_in_flight(serve: Serve) -> None:
    server = serve(shuffled(seed=3))
    got: list[list[int]] = []
    with closing(OpenAIServer(spec(server.url, concurrency=6))) as provider:

        def call(part: slice) -> None:
            got.append([reply.key for reply in provider.ask(requests(90)[part], SCHEMA, "example")])

        threads = [threading.Thread(target=call, args=(slice(start, start + 30),)) for start in (0, 30, 60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(sorted(keys) for keys in got) == [list(range(1000 + at, 1030 + at)) for at in (0, 30, 60)]
    assert 1 < server.most_at_once <= 6


def test_an_iterator_closed_early_asks_nothing_more(serve: Serve) -> None:
    server = serve(lambda asked: stub_server.Reply(hang=number_of(asked) != 0))
    with closing(OpenAIServer(spec(server.url, concurrency=4))) as provider:
        replies = provider.ask(requests(50), SCHEMA, "example")
        assert next(replies).key == 1000
        for _ in range(5):
            assert server.arrived.acquire(timeout=10)
        replies.close()
    assert len(server.asked) == 5


def test_what_a_closed_iterator_had_in_flight_makes_room(serve: Serve) -> None:
    server = serve(lambda asked: stub_server.Reply(hang=1 <= number_of(asked) <= 2))
    with closing(OpenAIServer(spec(server.url, concurrency=2))) as provider:
        replies = provider.ask(requests(3), SCHEMA, "example")
        assert next(replies).key == 1000
        for _ in range(3):
            assert server.arrived.acquire(timeout=10)
        replies.close()
        assert [reply.key for reply in provider.ask(requests(4)[3:], SCHEMA, "example")] == [1003]


def test_a_provider_serves_again_and_then_no_more_after_close(serve: Serve) -> None:
    server = serve()
    provider: Provider = OpenAIServer(spec(server.url))
    assert len(list(provider.ask(requests(2), SCHEMA, "example"))) == 2
    assert len(list(provider.ask(requests(3), SCHEMA, "example"))) == 3
    assert list(provider.ask([], SCHEMA, "example")) == []
    provider.close()
    provider.close()
    with pytest.raises(RuntimeError, match="closed"):
        list(provider.ask(requests(1), SCHEMA, "example"))


def test_closing_the_provider_ends_an_iterator_that_waits(serve: Serve) -> None:
    server = serve(lambda _: stub_server.Reply(hang=True))
    provider = OpenAIServer(spec(server.url))
    ended: list[BaseException] = []
    waiting = threading.Thread(target=_end, args=(provider, requests(3), ended))
    waiting.start()
    assert server.arrived.acquire(timeout=10)
    provider.close()
    waiting.join(timeout=10)
    assert len(ended) == 1


def test_a_request_says_what_the_task_file_says(serve: Serve) -> None:
    server = serve()
    reply = only(server, temperature=0.7, max_tokens=77, seed=5)
    (asked,) = server.asked
    assert asked.authorization == f"Bearer {KEY}"
    assert asked.body == {
        "model": "stub-1",
        "temperature": 0.7,
        "seed": 5,
        "max_completion_tokens": 77,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "example", "strict": True, "schema": SCHEMA},
        },
        "messages": requests(1)[0].messages,
    }
    assert (reply.response_form, reply.requests, reply.failures) == (ResponseForm.JSON_SCHEMA, 1, ())


def test_what_is_not_set_is_left_to_the_server(serve: Serve) -> None:
    server = serve()
    only(server, temperature=None)
    assert not {"temperature", "seed"} & server.asked[0].body.keys()


def test_tokens_and_cost_are_counted_exactly(serve: Serve) -> None:
    server = serve()
    priced = only(server, input_price="0.15", output_price="0.6")
    assert priced.usage == Usage(100, 20, Decimal("0.000027"))
    assert only(server).usage == Usage(100, 20, None)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 3}])
def test_a_server_need_not_count_tokens(serve: Serve, usage: dict[str, Any] | None) -> None:
    reply = only(serve(lambda _: stub_server.Reply(usage=usage)), input_price=1, output_price=1)
    assert reply.text is not None
    assert reply.usage == Usage((usage or {}).get("prompt_tokens"), None, None)


@pytest.mark.parametrize(
    ("told", "text", "refusal"),
    [
        (stub_server.Reply(content='{"input": "a', finish_reason="length"), '{"input": "a', None),
        (stub_server.Reply(refusal="I would rather not."), None, "I would rather not."),
        (stub_server.Reply(content="", finish_reason="content_filter"), "", None),
        (stub_server.Reply(content="a\0b"), "a\ufffdb", None),
    ],
)
def test_what_the_model_says_passes_through(
    serve: Serve, told: stub_server.Reply, text: str | None, refusal: str | None
) -> None:
    reply = only(serve(lambda _: told))
    assert (reply.text, reply.refusal, reply.finish_reason) == (text, refusal, told.finish_reason)
    assert reply.error is None
    assert reply.usage.prompt_tokens == 100


def test_what_a_model_thinks_aloud_is_left_aside(serve: Serve) -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "Let me think."}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "length"}]}).encode()
    reply = only(serve(lambda _: stub_server.Reply(body=body)))
    assert (reply.text, reply.finish_reason, reply.error) == (None, "length", None)


def test_a_server_without_a_key_is_not_sent_somebody_elses(serve: Serve) -> None:
    server = serve()
    only(server, api_key_env=None)
    assert server.asked[0].authorization == "Bearer none"


@pytest.mark.usefixtures("keys")
def test_the_identity_is_what_shapes_replies() -> None:
    def identity(**settings: Any) -> str:
        with closing(OpenAIServer(spec("http://127.0.0.1:9/v1/", **settings))) as provider:
            return canonical_json(provider.identity)

    plain = identity()
    sampling = {"temperature": 0.0, "max_tokens": 1000, "response_format": "json_schema"}
    assert json.loads(plain) == {
        "provider": "openai",
        "model": "stub-1",
        "endpoint": "http://127.0.0.1:9/v1",
        "sampling": sampling,
    }
    assert json.loads(identity(seed=0))["sampling"] == sampling | {"seed": 0}
    assert plain == identity(response_format="json_schema")
    assert plain == identity(concurrency=99, timeout_seconds=1, max_retries=9, input_price=1, output_price=1)
    assert plain == identity(context_tokens=4096, requests_per_minute=5, tokens_per_minute=5)
    others: list[dict[str, Any]] = [
        {"model": "other"},
        {"temperature": 1},
        {"max_tokens": 5},
        {"seed": 0},
        {"response_format": "text"},
    ]
    assert len({plain, *(identity(**other) for other in others)}) == 1 + len(others)


@pytest.mark.usefixtures("keys")
def test_limits_are_the_task_files() -> None:
    settings = {"max_tokens": 9, "context_tokens": 300, "concurrency": 7, "input_price": 1, "output_price": 2}
    with closing(OpenAIServer(spec("http://127.0.0.1:9/v1", **settings))) as provider:
        limits = provider.limits
    assert (limits.answer_tokens, limits.context_tokens, limits.in_flight) == (9, 300, 7)
    assert limits.usage(1_000_000, 1_000_000).cost == 3
