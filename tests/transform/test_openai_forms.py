"""Servers that do not know every part of the protocol are asked in simpler ways, and remembered for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from rebase_db.transform.provider import ResponseForm
from rebase_db.transform.providers.openai_server import OpenAIServer
from tests.transform.openai_asking import SCHEMA, ask, number_of, only, refusal_of, requests, spec
from tests.transform.stub_server import Asked, Reply, StubServer, good_answer, knows_only

Serve = Callable[..., StubServer]

# What servers say, in the shape they say it.
OPENAI = Reply(
    status=400,
    message="Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
    param="response_format",
)
OPENAI_NAMED_APART = Reply(status=400, message="Invalid parameter.", param="response_format")
DEEPSEEK = Reply(status=400, message="This response_format type is unavailable now", code="invalid_request_error")
LLAMA_CPP = Reply(
    status=500,
    message='response_format type must be one of "text" or "json_object", but got: json_schema',
)
GROQ = Reply(status=400, message="This model does not support response format `json_schema`.")
LM_STUDIO = Reply(status=400, body=b"{\"error\": \"'response_format.type' must be 'text'\"}")
TEXT_GENERATION_INFERENCE = Reply(
    status=422,
    body=b"Failed to deserialize the JSON body into the target type: response_format: missing field `value` at line 1",
    headers={"Content-Type": "text/plain"},
)
VLLM_OLD = Reply(
    status=400,
    message="[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'input': 'json_schema'}]",
)
OPENROUTER = Reply(status=404, message="No endpoints found that support structured outputs.")
MISTRAL_LIMIT = Reply(
    status=422,
    body=json.dumps(
        {"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"]}]}}
    ).encode(),
)


def unless(form: str, complaint: Reply) -> Callable[[Asked], Reply]:
    return lambda asked: Reply() if asked.form == form else complaint


@pytest.mark.parametrize(
    "complaint",
    [OPENAI, OPENAI_NAMED_APART, DEEPSEEK, LLAMA_CPP, GROQ, LM_STUDIO, TEXT_GENERATION_INFERENCE, VLLM_OLD, OPENROUTER],
)
def test_a_server_that_knows_no_schemas_is_asked_for_json(serve: Serve, complaint: Reply) -> None:
    server = serve(unless("json_object", complaint))
    reply = only(server)
    assert json.loads(reply.text or "")["input"] == '{"text": "row 0"}'
    assert reply.response_form is ResponseForm.JSON_OBJECT
    assert [asked.form for asked in server.asked] == ["json_schema", "json_object"]
    assert reply.requests == 2
    (failure,) = reply.failures
    assert failure.startswith(f"HTTP {complaint.status}: ")


def test_and_then_in_words(serve: Serve) -> None:
    server = serve(knows_only("text", status=422))
    reply = only(server)
    assert reply.response_form is ResponseForm.TEXT
    assert [asked.form for asked in server.asked] == ["json_schema", "json_object", "text"]
    assert "response_format" not in server.asked[-1].body
    assert (reply.requests, len(reply.failures)) == (3, 2)


def test_what_was_learned_is_remembered(serve: Serve) -> None:
    server = serve(knows_only("json_object"))
    with closing(OpenAIServer(spec(server.url, concurrency=1))) as provider:
        replies = list(provider.ask(requests(3), SCHEMA, "example"))
        replies += provider.ask(requests(5)[3:], SCHEMA, "example")
    assert [asked.form for asked in server.asked] == ["json_schema"] + ["json_object"] * 5
    assert [reply.requests for reply in replies] == [2, 1, 1, 1, 1]
    assert {reply.response_form for reply in replies} == {ResponseForm.JSON_OBJECT}


def test_requests_that_learn_it_at_the_same_time_all_get_replies(serve: Serve) -> None:
    server = serve(knows_only("text"))
    replies = ask(server, 60, concurrency=20)
    assert len({reply.key for reply in replies}) == 60
    assert {reply.response_form for reply in replies} == {ResponseForm.TEXT}
    assert max(reply.requests for reply in replies) == 3


@pytest.mark.usefixtures("no_backoff")
def test_asking_in_another_way_does_not_use_up_retries(serve: Serve) -> None:
    def behave(asked: Asked) -> Reply:
        if asked.form != "text":
            return knows_only("text")(asked)
        return Reply(status=500) if asked.before == 2 else Reply()

    server = serve(behave)
    reply = only(server, max_retries=1)
    assert [asked.form for asked in server.asked] == ["json_schema", "json_object", "text", "text"]
    assert reply.text is not None
    assert reply.failures[-1] == "HTTP 500: scripted"


def test_a_row_whose_words_sound_like_a_complaint_changes_nothing_for_others(serve: Serve) -> None:
    def behave(asked: Asked) -> Reply:
        if number_of(asked) == 0:
            return Reply(status=400, message='too long: "... response_format is not supported, nor json_schema ..."')
        return Reply()

    server = serve(behave)
    replies = {reply.key: reply for reply in ask(server, 3, concurrency=1)}
    assert (replies[1000].error or "").startswith("HTTP 400: too long")
    assert replies[1000].retry_after is None
    assert {replies[key].response_form for key in (1001, 1002)} == {ResponseForm.JSON_SCHEMA}


@pytest.mark.parametrize(
    "other",
    [
        Reply(status=400, message="This model's maximum context length is 512 tokens."),
        Reply(status=400, message="Failed to generate JSON. Please adjust your prompt.", code="json_validate_failed"),
        Reply(status=422, message="messages: at least one is needed"),
    ],
)
def test_another_complaint_is_the_replys_error(serve: Serve, other: Reply) -> None:
    server = serve(lambda _: other)
    reply = only(server)
    assert reply.error == f"HTTP {other.status}: {other.message}"
    assert (reply.response_form, len(server.asked)) == (None, 1)


@pytest.mark.usefixtures("no_backoff")
def test_a_server_at_fault_is_not_taken_for_one_that_knows_less(serve: Serve) -> None:
    server = serve(lambda asked: Reply(status=500, message="json_schema worker died") if not asked.before else Reply())
    assert only(server, max_retries=1).response_form is ResponseForm.JSON_SCHEMA


@pytest.mark.parametrize("form", ["json_schema", "json_object", "text"])
def test_a_form_that_the_task_file_names_is_kept_to(serve: Serve, form: str) -> None:
    server = serve()
    reply = only(server, response_format=form)
    assert reply.response_form == form
    assert [asked.form for asked in server.asked] == [form]
    refusing = serve(lambda _: OPENAI)
    assert (only(refusing, response_format=form).error or "").startswith("HTTP 400")
    assert [asked.form for asked in refusing.asked] == [form]


def test_a_server_may_call_the_longest_answer_by_its_old_name(serve: Serve) -> None:
    server = serve(lambda asked: MISTRAL_LIMIT if "max_completion_tokens" in asked.body else Reply())
    replies = ask(server, 3, concurrency=1, max_tokens=77)
    assert [asked.body.get("max_tokens") for asked in server.asked] == [None, 77, 77, 77]
    assert {reply.response_form for reply in replies} == {ResponseForm.JSON_SCHEMA}
    assert [reply.requests for reply in replies] == [2, 1, 1]


def test_a_server_may_lack_more_than_one_thing(serve: Serve) -> None:
    def old(asked: Asked) -> Reply:
        return MISTRAL_LIMIT if "max_completion_tokens" in asked.body else knows_only("json_object")(asked)

    server = serve(old)
    reply = only(server)
    last = server.asked[-1]
    assert (last.form, last.body["max_tokens"], reply.requests) == ("json_object", 1000, 3)


def test_an_answer_that_is_too_long_to_ask_for_is_the_replys_error(serve: Serve) -> None:
    message = "'max_tokens' or 'max_completion_tokens' is too large: 1000. This model's context length is 512 tokens."
    server = serve(lambda asked: Reply(status=400, message=message) if number_of(asked) == 0 else Reply())
    replies = {reply.key: reply for reply in ask(server, 2, concurrency=1)}
    assert replies[1000].error == f"HTTP 400: {message}"
    assert "max_completion_tokens" in server.asked[-1].body


def test_a_model_that_is_not_there_is_the_end_whatever_its_name(serve: Serve) -> None:
    server = serve(lambda _: Reply(status=404, message="no model json_schema-7b"))
    assert "has no model" in refusal_of(server).message


def test_the_stub_answers_by_the_form_it_is_asked_in() -> None:
    def asked(response_format: dict[str, Any] | None) -> Asked:
        body = {} if response_format is None else {"response_format": response_format}
        return Asked({"text": "a"}, 0, body, None)

    points = {"type": "object", "properties": {"points": {"type": "integer", "maximum": 5}, "ok": {"type": "boolean"}}}
    by_schema = good_answer(asked({"type": "json_schema", "json_schema": {"schema": points}}))
    assert json.loads(by_schema) == {"points": 5, "ok": True}
    plain = good_answer(asked({"type": "json_object"}))
    assert json.loads(plain) == {"input": '{"text": "a"}', "output": "made up output"}
    assert good_answer(asked(None)) == f"Here it is:\n```json\n{plain}\n```"
