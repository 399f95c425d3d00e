from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from rebase_db.errors import TeacherError
from rebase_db.hashing import canonical_json
from rebase_db.task.file import TaskFile
from rebase_db.transform.openai_server import OpenAIServerTeacher
from rebase_db.transform.prompt import RewritePrompt, prompt_hash
from rebase_db.transform.retry_after import DEFAULT_SECONDS, retry_after_seconds
from rebase_db.transform.teacher import Answer, SourceRow, make_teacher
from tests.transform.stub_server import Asked, Behaviour, Reply, StubServer, shuffled

KEY = "sk-" + "test0123456789"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "somebodyElses")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def serve() -> Iterator[Callable[..., StubServer]]:
    servers: list[StubServer] = []

    def start(behaviour: Behaviour = lambda _: Reply()) -> StubServer:
        servers.append(StubServer(behaviour).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


def task(url: str, fields: dict[str, Any] | None = None, **settings: Any) -> TaskFile:
    teacher = {"provider": "openai", "model": "stub-1", "base_url": url, "api_key_env": "STUB_KEY", "max_retries": 0}
    plain: dict[str, Any] = {
        "name": "mood",
        "instruction": "Tell the mood.",
        "labels": ["glad", "sad"],
        "examples": [{"input": "I won", "output": "glad"}],
        "teacher": teacher | settings,
    }
    return TaskFile.model_validate(plain | (fields or {}))


def rows(count: int) -> list[SourceRow]:
    return [SourceRow(1000 + number, "d", "c", {"text": f"row {number}"}) for number in range(count)]


def ask(server: StubServer, count: int = 1, **settings: Any) -> list[Answer]:
    with closing(make_teacher(task(server.url, **settings))) as teacher:
        return list(teacher.answer(rows(count)))


def only(server: StubServer, **settings: Any) -> Answer:
    (answer,) = ask(server, 1, **settings)
    return answer


def refusal_of(server: StubServer, **settings: Any) -> TeacherError:
    with pytest.raises(TeacherError) as caught:
        ask(server, 1, **settings)
    return caught.value


def assert_rows_are_those_the_server_saw(server: StubServer, answers: list[Answer], asked: list[SourceRow]) -> None:
    by_link = {row.link_id: dict(row.columns) for row in asked}
    assert sorted(answer.link_id for answer in answers) == sorted(by_link)
    for answer in answers:
        if answer.parsed is not None:  # the stub's input quotes the row its prompt carried
            assert json.loads(answer.parsed.input) == by_link[answer.link_id]
    seen = {json.dumps(item.row) for item in server.asked}
    assert seen == {json.dumps(columns) for columns in by_link.values()}


def test_every_answer_is_of_the_row_the_server_saw(serve: Callable[..., StubServer]) -> None:
    server = serve(shuffled(seed=7))
    answers = ask(server, 300, concurrency=32)
    assert_rows_are_those_the_server_saw(server, answers, rows(300))
    assert all(answer.parsed for answer in answers)
    assert [answer.link_id for answer in answers] != sorted(answer.link_id for answer in answers)
    assert 1 < server.most_at_once <= 32


def test_every_answer_is_of_its_row_when_much_goes_wrong(serve: Callable[..., StubServer]) -> None:
    def troubled(asked: Asked) -> Reply:
        number = int(asked.row["text"].split()[1])
        first_time = [
            Reply(status=429, headers={"Retry-After": "0"}),
            Reply(status=500),
            Reply(drop=True),
            Reply(delay=0.01),
            Reply(),
        ]
        always = {
            5: Reply(content='{"input": "cut'),
            6: Reply(refusal="no"),
            7: Reply(status=400),
            8: Reply(status=503),
        }
        kind = number % 10
        if kind in always:
            return always[kind]
        return first_time[kind] if kind < len(first_time) and asked.before == 0 else Reply()

    server = serve(troubled)
    answers = ask(server, 60, concurrency=16, max_retries=1)
    assert_rows_are_those_the_server_saw(server, answers, rows(60))
    outcomes: dict[int, set[str]] = {}
    for answer in answers:
        outcome = "parsed" if answer.parsed else (answer.reject_reason or answer.error or "").split(":")[0]
        outcomes.setdefault((answer.link_id - 1000) % 10, set()).add(outcome)
    assert outcomes == {
        **{kind: {"parsed"} for kind in (0, 1, 2, 3, 4, 9)},
        5: {"not_json"},
        6: {"refusal"},
        7: {"HTTP 400"},
        8: {"HTTP 503"},
    }
    repeats = {int(item.row["text"].split()[1]) % 10 for item in server.asked if item.before == 1}
    assert repeats == {0, 1, 2, 8}


def test_answers_stream_out_while_others_are_still_asked(serve: Callable[..., StubServer]) -> None:
    release = threading.Event()

    def first_waits(asked: Asked) -> Reply:
        if asked.row["text"] == "row 0":
            release.wait(10)
        return Reply()

    server = serve(first_waits)
    with closing(make_teacher(task(server.url, concurrency=2))) as teacher:
        answers = teacher.answer(rows(4))
        early = [next(answers).link_id for _ in range(3)]
        release.set()
        assert [*early, next(answers).link_id] == [1001, 1002, 1003, 1000]
        assert next(answers, None) is None


def test_requests_go_on_while_the_caller_is_busy(serve: Callable[..., StubServer]) -> None:
    server = serve()
    with closing(make_teacher(task(server.url, concurrency=1))) as teacher:
        answers = teacher.answer(rows(5))
        next(answers)
        for _ in range(5):
            assert server.arrived.acquire(timeout=10)
        assert len(list(answers)) == 4


def test_an_iterator_closed_early_asks_nothing_more(serve: Callable[..., StubServer]) -> None:
    server = serve(lambda asked: Reply(hang=asked.row["text"] != "row 0"))
    with closing(make_teacher(task(server.url, concurrency=4))) as teacher:
        answers = teacher.answer(rows(50))
        assert next(answers).link_id == 1000
        for _ in range(5):
            assert server.arrived.acquire(timeout=10)
        assert isinstance(answers, Iterator)
        answers.close()  # type: ignore[attr-defined]
    assert len(server.asked) == 5


def test_a_teacher_serves_again_and_then_no_more_after_close(serve: Callable[..., StubServer]) -> None:
    server = serve()
    teacher = make_teacher(task(server.url))
    assert len(list(teacher.answer(rows(2)))) == 2
    assert len(list(teacher.answer(rows(3)))) == 3
    assert list(teacher.answer([])) == []
    teacher.close()
    teacher.close()
    with pytest.raises(RuntimeError, match="closed"):
        list(teacher.answer(rows(1)))


def test_closing_the_teacher_ends_an_iterator_that_waits(serve: Callable[..., StubServer]) -> None:
    server = serve(lambda _: Reply(hang=True))
    teacher = make_teacher(task(server.url))
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            list(teacher.answer(rows(3)))
        except CancelledError as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert server.arrived.acquire(timeout=10)
    teacher.close()
    waiting.join(timeout=10)
    assert len(ended) == 1


def test_a_request_says_what_the_task_file_says(serve: Callable[..., StubServer]) -> None:
    server = serve()
    answer = only(server, temperature=0.7, max_tokens=77)
    (asked,) = server.asked
    assert asked.authorization == f"Bearer {KEY}"
    assert asked.body["model"] == "stub-1"
    assert asked.body["temperature"] == 0.7
    assert asked.body["max_completion_tokens"] == 77
    form = asked.body["response_format"]["json_schema"]
    assert form["strict"] is True
    assert form["schema"]["properties"]["output"]["enum"] == ["glad", "sad"]
    messages = RewritePrompt(task(server.url)).messages(rows(1)[0])
    assert asked.body["messages"] == messages
    assert answer.prompt_hash == prompt_hash(messages)


def test_temperature_may_be_left_to_the_server(serve: Callable[..., StubServer]) -> None:
    server = serve()
    only(server, temperature=None)
    assert "temperature" not in server.asked[0].body


def test_a_reasoning_task_gets_a_rationale(serve: Callable[..., StubServer]) -> None:
    fields = {"reasoning": True, "examples": [{"input": "I won", "output": "Fun. The answer is glad."}]}
    answer = only(serve(), fields=fields)
    assert answer.parsed is not None
    assert (answer.parsed.output, answer.parsed.rationale) == ("glad", "made up rationale")


def test_tokens_and_cost_are_counted_exactly(serve: Callable[..., StubServer]) -> None:
    server = serve()
    priced = only(server, input_price="0.15", output_price="0.6")
    assert (priced.usage.prompt_tokens, priced.usage.completion_tokens) == (100, 20)
    assert priced.usage.cost == Decimal("0.000027")
    assert only(server).usage.cost is None


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 3}])
def test_a_server_need_not_count_tokens(serve: Callable[..., StubServer], usage: dict[str, Any] | None) -> None:
    answer = only(serve(lambda _: Reply(usage=usage)), input_price=1, output_price=1)
    assert answer.parsed is not None
    assert answer.usage.cost is None


@pytest.mark.parametrize(
    ("reply", "reason", "raw"),
    [
        (Reply(content='{"input": "a", "out'), "not_json", '{"input": "a", "out'),
        (Reply(content='{"input": "a', finish_reason="length"), "cut", '{"input": "a'),
        (Reply(refusal="I would rather not."), "refusal", "I would rather not."),
        (Reply(content="", finish_reason="content_filter"), "refusal", ""),
        (Reply(content=""), "not_json", ""),
        (Reply(content='{"input": "a", "output": "angry"}'), "label_not_in_set", '{"input": "a", "output": "angry"}'),
        (Reply(content="a\0b"), "not_json", "a\ufffdb"),
    ],
)
def test_a_rejected_answer_is_kept_with_its_reason_and_cost(
    serve: Callable[..., StubServer], reply: Reply, reason: str, raw: str
) -> None:
    answer = only(serve(lambda _: reply))
    assert answer.reject_reason is not None
    assert answer.reject_reason.split(":")[0] == reason
    assert answer.raw == raw
    assert answer.finish_reason == reply.finish_reason
    assert answer.usage.prompt_tokens == 100
    assert answer.error is None


@pytest.mark.parametrize(
    ("reply", "error", "retry_after"),
    [
        (Reply(status=429, headers={"Retry-After": "7"}, message="slow down"), "HTTP 429: slow down", 7.0),
        (Reply(status=429, message="slow down"), "HTTP 429: slow down", DEFAULT_SECONDS),
        (Reply(status=429, headers={"Retry-After": "300"}), "HTTP 429: scripted", 300.0),
        (Reply(status=500), "HTTP 500: scripted", DEFAULT_SECONDS),
        (Reply(status=503, headers={"Retry-After": "0"}), "HTTP 503: scripted", 0.0),
        (Reply(status=400, message="too long"), "HTTP 400: too long", None),
        (Reply(status=422), "HTTP 422: scripted", None),
        (Reply(status=502, body=b"<html>bad gateway</html>"), "HTTP 502: <html>bad gateway</html>", DEFAULT_SECONDS),
        (Reply(body=b"<html>hello</html>"), "the server's reply is no chat completion", DEFAULT_SECONDS),
        (Reply(body=b'{"choices": []}'), "the server's reply is no chat completion", DEFAULT_SECONDS),
        (Reply(body=b'{"choices": [{"mess'), "the server's reply is no chat completion", DEFAULT_SECONDS),
        (Reply(drop=True), "the connection to http://127.0.0.1", DEFAULT_SECONDS),
        (Reply(hang=True), "no answer within 0.3 s", DEFAULT_SECONDS),
        (Reply(headers={"Content-Length": "9999"}), "no answer within 0.3 s", DEFAULT_SECONDS),
        (Reply(headers={"Content-Length": "9999", "Connection": "close"}), "the connection to", DEFAULT_SECONDS),
    ],
)
def test_a_failed_request_is_the_rows_error(
    serve: Callable[..., StubServer], reply: Reply, error: str, retry_after: float | None
) -> None:
    answer = only(serve(lambda _: reply), timeout_seconds=0.3 if "0.3" in error else 10)
    assert (answer.error or "").startswith(error), answer.error
    assert answer.retry_after == retry_after
    assert answer.raw is None


def test_a_server_that_is_not_there_is_an_error_worth_another_try() -> None:
    with StubServer() as gone:
        url = gone.url
    with closing(make_teacher(task(url))) as teacher:
        (answer,) = teacher.answer(rows(1))
    assert (answer.error or "").startswith(f"the connection to {url} failed")
    assert answer.retry_after == DEFAULT_SECONDS


@pytest.mark.parametrize(
    "trouble", [Reply(status=429, headers={"Retry-After": "0"}), Reply(status=500), Reply(drop=True)]
)
def test_passing_trouble_is_tried_again(serve: Callable[..., StubServer], trouble: Reply) -> None:
    server = serve(lambda asked: trouble if asked.before == 0 else Reply())
    answer = only(server, max_retries=1)
    assert answer.parsed is not None
    assert len(server.asked) == 2
    assert answer.latency_seconds > 0.3  # the wait between them counts


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
    ],
)
def test_what_no_row_can_mend_stops_the_teacher(
    serve: Callable[..., StubServer], caplog: pytest.LogCaptureFixture, reply: Reply, message: str
) -> None:
    caplog.set_level(logging.DEBUG)
    error = refusal_of(serve(lambda _: reply))
    assert message in error.message
    seen: list[str] = [error.hint, caplog.text]
    cause: BaseException | None = error
    while cause is not None:
        seen += [str(cause), repr(cause), repr(vars(cause))]
        cause = cause.__cause__ or cause.__context__
    assert KEY not in " ".join(seen)


def test_answers_before_the_stop_are_not_lost(serve: Callable[..., StubServer]) -> None:
    server = serve(lambda asked: Reply(status=401) if asked.row["text"] == "row 3" else Reply())
    with closing(make_teacher(task(server.url, concurrency=1))) as teacher:
        answers = teacher.answer(rows(10))
        assert [next(answers).link_id for _ in range(3)] == [1000, 1001, 1002]
        with pytest.raises(TeacherError):
            next(answers)
    assert len(server.asked) == 4


def test_the_key_is_shown_nowhere(serve: Callable[..., StubServer], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(
        lambda asked: Reply(status=500, message=f"your header was Bearer {KEY}") if asked.before else Reply()
    )
    with closing(make_teacher(task(server.url))) as teacher:
        shown = [repr(teacher), str(teacher), repr(teacher.identity), repr(teacher.prompt)]
        shown += [repr(answer) for answer in [*teacher.answer(rows(2)), *teacher.answer(rows(2))]]
    assert any("[key]" in text for text in shown)
    assert KEY not in " ".join(shown)
    assert KEY not in caplog.text


def test_a_key_at_the_cut_of_a_long_message_is_not_shown_in_part(serve: Callable[..., StubServer]) -> None:
    for before in range(120, 200, 7):
        page = b"x" * before + KEY.encode()
        for reply in (Reply(body=page), Reply(status=500, body=page)):
            assert KEY[:6] not in (only(serve(lambda _, reply=reply: reply)).error or "")


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("STUB_KEY")
    if value is not None:
        monkeypatch.setenv("STUB_KEY", value)
    with pytest.raises(TeacherError, match="the environment variable STUB_KEY is not set"):
        make_teacher(task("http://127.0.0.1:9/v1"))


@pytest.mark.parametrize("value", [KEY + "\u20ac", KEY + "\n" + KEY])
def test_a_variable_that_holds_no_key_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("STUB_KEY", value)
    with pytest.raises(TeacherError, match="STUB_KEY holds no key") as caught:
        make_teacher(task("http://127.0.0.1:9/v1"))
    assert KEY not in repr(caught.value)


def test_a_server_without_a_key_is_not_sent_somebody_elses(serve: Callable[..., StubServer]) -> None:
    server = serve()
    only(server, api_key_env=None)
    assert server.asked[0].authorization == "Bearer none"
    assert "a request without a key" in refusal_of(serve(lambda _: Reply(status=401)), api_key_env=None).message


def test_the_identity_is_what_shapes_answers() -> None:
    def identity(**settings: Any) -> str:
        with closing(make_teacher(task("http://127.0.0.1:9/v1/", **settings))) as teacher:
            assert isinstance(teacher, OpenAIServerTeacher)
            return canonical_json(teacher.identity)

    plain = identity()
    assert json.loads(plain) == {
        "provider": "openai",
        "model": "stub-1",
        "endpoint": "http://127.0.0.1:9/v1",
        "sampling": {"temperature": 0.0, "max_tokens": 1000, "response_format": "json_schema"},
    }
    assert plain == identity(concurrency=99, timeout_seconds=1, max_retries=9, input_price=1, output_price=1)
    assert len({plain, identity(model="other"), identity(temperature=1), identity(max_tokens=5)}) == 4


NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, DEFAULT_SECONDS),
        ("", DEFAULT_SECONDS),
        ("2.5", 2.5),
        ("-3", 0.0),
        ("nan", DEFAULT_SECONDS),
        ("inf", DEFAULT_SECONDS),
        ("1e9", 3600.0),
        ("soon", DEFAULT_SECONDS),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 12:00:30 -0000", 30.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float) -> None:
    assert retry_after_seconds(header, NOW) == seconds
