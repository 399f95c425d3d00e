"""What becomes of a request that fails: tried again, the reply's error, or the end."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from random import Random

import pytest

from rebase_db.errors import TeacherError
from rebase_db.transform.providers.admission import Admission
from rebase_db.transform.providers.openai_server import OpenAIServer
from rebase_db.transform.providers.retry_after import DEFAULT_SECONDS, backoff_seconds, told_seconds
from tests.transform.openai_asking import KEY, SCHEMA, number_of, only, refusal_of, requests, spec
from tests.transform.stub_server import Asked, Reply, StubServer

Serve = Callable[..., StubServer]


@pytest.mark.parametrize(
    ("reply", "error", "retry_after", "maybe_billed"),
    [
        (Reply(status=429, headers={"Retry-After": "7"}, message="slow down"), "HTTP 429: slow down", 7.0, False),
        (Reply(status=429, message="slow down"), "HTTP 429: slow down", DEFAULT_SECONDS, False),
        (Reply(status=429, headers={"Retry-After": "300"}), "HTTP 429: scripted", 300.0, False),
        (Reply(status=500), "HTTP 500: scripted", DEFAULT_SECONDS, False),
        (Reply(status=503, headers={"Retry-After": "0"}), "HTTP 503: scripted", 0.0, False),
        (Reply(status=504), "HTTP 504: scripted", DEFAULT_SECONDS, True),
        (Reply(status=400, message="too long"), "HTTP 400: too long", None, False),
        (Reply(status=422), "HTTP 422: scripted", None, False),
        (Reply(status=422, body=b'{"message": {"detail": [1]}}'), "HTTP 422: {'detail': [1]}", None, False),
        (Reply(status=502, body=b"<html>bad</html>"), "HTTP 502: <html>bad</html>", DEFAULT_SECONDS, False),
        (Reply(body=b"<html>hello</html>"), "the server's reply is no chat completion", DEFAULT_SECONDS, True),
        (Reply(body=b'{"choices": []}'), "the server's reply is no chat completion", DEFAULT_SECONDS, True),
        (Reply(body=b'{"choices": [{"mess'), "the server's reply is no chat completion", DEFAULT_SECONDS, True),
        (Reply(drop=True), "the connection to http://127.0.0.1", DEFAULT_SECONDS, True),
        (Reply(hang=True), "no answer within 0.3 s", DEFAULT_SECONDS, True),
        (Reply(headers={"Content-Length": "9999"}), "no answer within 0.3 s", DEFAULT_SECONDS, True),
        (
            Reply(headers={"Content-Length": "9999", "Connection": "close"}),
            "the connection to",
            DEFAULT_SECONDS,
            True,
        ),
        (Reply(headers={"Content-Encoding": "gzip"}), "the connection to", DEFAULT_SECONDS, True),
    ],
)
def test_a_failed_request_is_the_replys_error(
    serve: Serve, reply: Reply, error: str, retry_after: float | None, maybe_billed: bool
) -> None:
    answer = only(serve(lambda _: reply), timeout_seconds=0.3 if "0.3" in error else 10)
    assert (answer.error or "").startswith(error), answer.error
    assert (answer.retry_after, answer.maybe_billed) == (retry_after, maybe_billed)
    assert answer.rate_limited == (reply.status == 429)
    assert (answer.text, answer.requests, answer.failures) == (None, 1, ())


@pytest.mark.usefixtures("keys", "no_backoff")
def test_a_server_that_is_not_there_is_asked_again_and_then_an_error_worth_another_try() -> None:
    with StubServer() as gone:
        url = gone.url
    with closing(OpenAIServer(spec(url, max_retries=2))) as provider:
        (answer,) = provider.ask(requests(1), SCHEMA, "example")
    assert (answer.error or "").startswith(f"the connection to {url} failed")
    assert (answer.retry_after, answer.maybe_billed) == (DEFAULT_SECONDS, False)
    assert answer.requests == 3
    assert answer.failures == (answer.error, answer.error)


@pytest.mark.usefixtures("keys", "no_backoff")
def test_a_server_that_takes_no_connection_was_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rebase_db.transform.providers.connection._CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        address = full.getsockname()
        for _ in range(4):  # more than wait in line with nobody to accept them
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(address)
        with closing(OpenAIServer(spec(f"http://127.0.0.1:{address[1]}/v1", max_retries=1))) as provider:
            (answer,) = provider.ask(requests(1), SCHEMA, "example")
    assert answer.error == f"no connection to http://127.0.0.1:{address[1]}/v1 in time"
    assert (answer.requests, answer.maybe_billed, answer.retry_after) == (2, False, DEFAULT_SECONDS)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    "spoken", [b"220 mail.example ESMTP\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz"]
)
def test_a_server_that_speaks_no_proper_http_is_an_error(spoken: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1)
                connection.sendall(spoken)
                while connection.recv(65536):
                    pass

        speaking = threading.Thread(target=speak)
        speaking.start()
        with closing(OpenAIServer(spec(f"http://127.0.0.1:{listening.getsockname()[1]}/v1"))) as provider:
            (answer,) = provider.ask(requests(1), SCHEMA, "example")
        speaking.join(timeout=10)
    assert (answer.error or "").startswith("the connection to http://127.0.0.1")
    assert (answer.retry_after, answer.maybe_billed) == (DEFAULT_SECONDS, True)


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_is_not_billed_is_tried_again(serve: Serve, status: int) -> None:
    server = serve(lambda asked: Reply(status=status, message=f"no {asked.before}") if asked.before < 2 else Reply())
    answer = only(server, max_retries=2)
    assert answer.text is not None
    assert (answer.requests, answer.failures) == (3, (f"HTTP {status}: no 0", f"HTTP {status}: no 1"))
    assert len(server.asked) == 3


@pytest.mark.usefixtures("no_backoff")
def test_no_more_often_than_the_task_file_says(serve: Serve) -> None:
    server = serve(lambda asked: Reply(status=500, message=f"no {asked.before}"))
    answer = only(server, max_retries=2)
    assert (answer.requests, answer.failures) == (3, ("HTTP 500: no 0", "HTTP 500: no 1"))
    assert answer.error == "HTTP 500: no 2"
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(drop=True),
        Reply(hang=True),
        Reply(status=504),
        Reply(body=b"<html>"),
        Reply(status=400),
        Reply(status=429, headers={"Retry-After": "61"}),
        Reply(status=503, headers={"Retry-After": "61"}),
    ],
)
def test_what_may_be_billed_or_takes_too_long_is_not_tried_again_here(serve: Serve, trouble: Reply) -> None:
    server = serve(lambda _: trouble)
    answer = only(server, max_retries=3, timeout_seconds=0.3 if trouble.hang else 10)
    assert answer.error is not None
    assert answer.requests == len(server.asked) == 1


def test_a_429_holds_back_all_requests(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = threading.Semaphore(0)
    enter = Admission.enter

    async def note_and_enter(self: Admission, tokens: int) -> None:
        entered.release()
        await enter(self, tokens)

    monkeypatch.setattr(Admission, "enter", note_and_enter)
    server = serve(lambda _: Reply(status=429, headers={"Retry-After": "3000"}))
    provider = OpenAIServer(spec(server.url, max_retries=3))
    (first,) = provider.ask(requests(1), SCHEMA, "example")
    assert (first.rate_limited, first.retry_after) == (True, 3000)
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            list(provider.ask(requests(5)[1:], SCHEMA, "example"))
        except CancelledError as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    for _ in range(2):  # the first request, and of the others the one whose turn it is
        assert entered.acquire(timeout=10)
    assert provider._asker._admission._held_until - provider._loop.time() > 2000
    provider.close()
    waiting.join(timeout=10)
    assert (len(ended), len(server.asked)) == (1, 1)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(status=401, message=f"Incorrect API key provided: {KEY}"), "refuses the key in STUB_KEY (HTTP 401)"),
        (Reply(status=403, message=f"{KEY} may not"), "refuses the key in STUB_KEY (HTTP 403)"),
        (
            Reply(status=404, message=f"no model for {KEY}"),
            "has no model 'stub-1' to ask (HTTP 404: no model for [key])",
        ),
        (Reply(status=429, code="insufficient_quota", message=f"{KEY} is broke"), "no quota left"),
        (Reply(status=402, message=f"{KEY} is broke"), "no quota left"),
    ],
)
def test_what_no_request_can_mend_is_the_end(
    serve: Serve, caplog: pytest.LogCaptureFixture, reply: Reply, message: str
) -> None:
    caplog.set_level(logging.DEBUG)
    error = refusal_of(serve(lambda _: reply), max_retries=3)
    assert message in error.message
    seen: list[str] = [error.hint, caplog.text]
    cause: BaseException | None = error
    while cause is not None:
        seen += [str(cause), repr(cause), repr(vars(cause))]
        cause = cause.__cause__ or cause.__context__
    assert KEY not in " ".join(seen)


def test_a_refused_request_without_a_key_says_how_to_name_one(serve: Serve) -> None:
    error = refusal_of(serve(lambda _: Reply(status=401)), api_key_env=None)
    assert "a request without a key" in error.message
    assert "api_key_env" in error.hint


def test_replies_before_the_end_are_not_lost(serve: Serve) -> None:
    server = serve(lambda asked: Reply(status=401) if number_of(asked) == 3 else Reply())
    with closing(OpenAIServer(spec(server.url, concurrency=1))) as provider:
        replies = provider.ask(requests(10), SCHEMA, "example")
        assert [next(replies).key for _ in range(3)] == [1000, 1001, 1002]
        with pytest.raises(TeacherError):
            next(replies)
    assert len(server.asked) == 4


def test_what_is_under_way_when_one_is_refused_is_still_answered(serve: Serve) -> None:
    """It may be billed; and what is left without a reply was refused, or never sent."""
    refused = threading.Event()

    def behave(asked: Asked) -> Reply:
        if number_of(asked) == 1:
            refused.set()
            return Reply(status=401)
        assert refused.wait(60)
        return Reply(delay=0.2)

    server = serve(behave)
    with closing(OpenAIServer(spec(server.url, concurrency=3))) as provider:
        replies: list[int] = []
        with pytest.raises(TeacherError, match="refuses the key"):
            replies.extend(reply.key for reply in provider.ask(requests(10), SCHEMA, "example"))
    assert sorted(number_of(asked) for asked in server.asked) == [0, 1, 2]
    assert sorted(replies) == [1000, 1002]


def test_the_key_is_shown_nowhere(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = f"your header was Bearer {KEY}"
    server = serve(lambda asked: [Reply(), Reply(status=500, message=told), Reply()][asked.before])
    with closing(OpenAIServer(spec(server.url, max_retries=1))) as provider:
        shown = [repr(provider), str(provider), repr(provider.identity), repr(provider.limits)]
        for _ in range(2):
            shown += [repr(reply) for reply in provider.ask(requests(2), SCHEMA, "example")]
    assert any("[key]" in text for text in shown)
    assert KEY not in " ".join(shown)
    assert KEY not in caplog.text


def test_a_key_at_the_cut_of_a_long_message_is_not_shown_in_part(serve: Serve) -> None:
    for before in range(120, 200, 7):
        page = b"x" * before + KEY.encode()
        for reply in (Reply(body=page), Reply(status=500, body=page)):
            assert KEY[:6] not in (only(serve(lambda _, reply=reply: reply)).error or "")


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("STUB_KEY")
    if value is not None:
        monkeypatch.setenv("STUB_KEY", value)
    with pytest.raises(TeacherError, match="the environment variable STUB_KEY is not set"):
        OpenAIServer(spec("http://127.0.0.1:9/v1"))


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("value", [KEY + "\u20ac", KEY + "\n" + KEY])
def test_a_variable_that_holds_no_key_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("STUB_KEY", value)
    with pytest.raises(TeacherError, match="STUB_KEY holds no key") as caught:
        OpenAIServer(spec("http://127.0.0.1:9/v1"))
    assert KEY not in repr(caught.value)


NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("2.5", 2.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("1e9", 3600.0),
        ("soon", None),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 12:00:30 -0000", 30.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert told_seconds(header, NOW) == seconds


def test_waits_double_up_to_a_bound_and_differ() -> None:
    dice = Random(5)  # noqa: S311 - jitter
    waits = [[backoff_seconds(repeat, dice) for _ in range(50)] for repeat in range(8)]
    for repeat, some in enumerate(waits):
        longest = min(0.5 * 2**repeat, 8)
        assert longest / 2 <= min(some) < max(some) <= longest
