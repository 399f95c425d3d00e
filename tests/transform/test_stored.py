"""An answer that was given before is used again: for the same prompt and teacher, also a bad one, but no error."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from rebase_db.transform.provider import Reply, Request, ResponseForm, Usage
from rebase_db.transform.stored import same_reply, stored_replies, stored_reply
from tests.queue import rows
from tests.transform.asked_before import Asking, Other
from tests.transform.budgeted import Budgeted, begin
from tests.transform.fake_provider import FakeProvider, said


@pytest.fixture
def task(engine: Engine) -> Budgeted:
    """A task with four links that wait."""
    return begin(engine, 4)


def stored_for(asking: Asking, links: list[int]) -> dict[int, tuple[int, Reply]]:
    with asking.task.engine.connect() as connection:
        prepared = [*asking.plan(links).ask]
        return stored_replies(connection, asking.ids[0], prepared)


def found(asking: Asking, links: list[int]) -> dict[int, int | None]:
    """The generation whose answer would be used again, by link."""
    return {answer.link_id: answer.reused_from for answer in asking.plan(links).stored}


def test_an_answer_is_used_again(task: Budgeted) -> None:
    asking = Asking(task)
    made = asking.ask(task.links[:2])
    (first, second) = asking.plan(task.links[:2]).stored
    assert {first.link_id: first.reused_from, second.link_id: second.reused_from} == made
    assert first.parsed is not None
    assert (first.reply.requests, first.reply.latency_seconds, first.reply.usage) == (0, 0.0, Usage())


def test_what_is_used_again_is_written_without_answer_tokens_and_cost(task: Budgeted) -> None:
    asking = Asking(task, FakeProvider(lambda request, _: said(request, "no", usage=Usage(5, 6))))
    made = asking.ask(task.links[:1])
    again = asking.ask(task.links[:1])
    query = text(
        "SELECT reused_from, requests, raw_answer, prompt_tokens, completion_tokens, cost, outcome, reason"
        " FROM generation WHERE generation_id = :id"
    )
    with task.engine.connect() as connection:
        row = connection.execute(query, {"id": again[task.links[0]]}).one()
    assert row == (made[task.links[0]], 0, None, None, None, None, "rejected", "not_json: it is 'no'")


def test_the_same_prompt_to_another_teacher_is_not_the_same(task: Budgeted) -> None:
    Asking(task).ask(task.links[:1])
    assert found(Asking(task, Other()), task.links[:1]) == {}


@pytest.mark.parametrize("change", [{"instruction": "Say it."}, {"labels": ["yes", "no"]}, {"reasoning": True}])
def test_another_prompt_to_the_same_teacher_is_not_the_same(task: Budgeted, change: dict[str, Any]) -> None:
    Asking(task).ask(task.links[:1])
    if "reasoning" in change:
        change |= {"labels": ["yes", "no"], "examples": [{"input": "a", "output": "A letter. Answer: yes"}]}
    assert found(Asking(task, **change), task.links[:1]) == {}


def test_prices_limits_and_the_task_s_name_make_no_other_teacher(task: Budgeted) -> None:
    made = Asking(task).ask(task.links[:1])
    assert found(Asking(task, FakeProvider(in_flight=3), name="thrifty"), task.links[:1]) == made


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": "nothing to see"}, "not_json"),
        ({"text": None, "refusal": "I would rather not."}, "refusal"),
        ({"text": None, "finish_reason": "content_filter"}, "refusal"),
        ({"text": '{"input": "a', "finish_reason": "length"}, "cut"),
    ],
)
def test_an_answer_that_was_rejected_is_not_asked_for_again(
    task: Budgeted, fields: dict[str, str | None], reason: str
) -> None:
    """The same question would get the same answer, and cost as much."""
    asking = Asking(task, FakeProvider(lambda request, _: said(request, **fields)))
    made = asking.ask(task.links[:1])
    (again,) = asking.plan(task.links[:1]).stored
    assert again.reused_from == made[task.links[0]]
    assert again.reject_reason is not None
    assert again.reject_reason.startswith(reason)
    with task.engine.connect() as connection:
        query = text("SELECT reason FROM generation WHERE generation_id = :id")
        assert connection.execute(query, {"id": made[task.links[0]]}).scalar_one() == again.reject_reason


def test_a_failed_call_is_made_again(task: Budgeted) -> None:
    failures = [{"error": "broke", "retry_after": 1.0}]

    def fail_at_first(request: Request, _: object) -> Reply:
        plain: dict[str, Any] = failures.pop() if failures else {"finish_reason": "stop"}
        return Reply(request.key, None if "error" in plain else "fine now", 0.1, **plain)

    asking = Asking(task, FakeProvider(fail_at_first))
    asking.ask(task.links[:1])
    assert found(asking, task.links[:1]) == {}
    made = asking.ask(task.links[:1])
    assert found(asking, task.links[:1]) == made


def test_of_several_answers_the_first_is_used(task: Budgeted) -> None:
    """So that which one is used does not change with time; and never one that is a use itself."""
    numbers = iter(range(9))
    asking = Asking(task, FakeProvider(lambda request, _: said(request, f"answer {next(numbers)}")))
    first, second = Asking(task, asking.provider), Asking(task, asking.provider)
    plans = [first.plan(task.links[:1]), second.plan(task.links[:1])]  # neither sees the other's
    made = []
    for each, plan in zip((first, second), plans, strict=True):
        each.plan = lambda _, plan=plan: plan  # type: ignore[method-assign, misc]
        made.append(each.ask(task.links[:1])[task.links[0]])
    (again,) = asking.plan(task.links[:1]).stored
    assert (again.reused_from, again.reply.text) == (made[0], "answer 0")
    used = asking.ask(task.links[:1])[task.links[0]]
    assert used > made[1]
    (again,) = asking.plan(task.links[:1]).stored
    assert again.reused_from == made[0]


def test_answers_are_used_across_tasks_and_versions(engine: Engine, task: Budgeted) -> None:
    """What counts is what the teacher saw, not who asked."""
    made = Asking(task).ask(task.links[:1])
    with engine.begin() as connection:
        links = []
        for version in (rows.add_version(connection, task.task_id, 2), rows.add_task(connection, "second")):
            rows.copy_links(connection, version, task.lane[1], rows.add_retrieval(connection, version, task.lane[1]))
            query = text(
                "SELECT other.link_id FROM retrieval_link AS link JOIN retrieval_link AS other USING (row_id)"
                " WHERE link.link_id = :link AND other.task_version_id = :version"
            )
            links.append(connection.execute(query, {"link": task.links[0], "version": version}).scalar_one())
    assert found(Asking(task), links) == dict.fromkeys(links, made[task.links[0]])


def test_a_stored_reply_is_what_was_said() -> None:
    reply = Reply(7, "hm", 1.5, finish_reason="stop", response_form=ResponseForm.JSON_OBJECT)
    assert stored_reply(7, "hm", "stop", "json_object") == Reply(
        7, "hm", 0.0, finish_reason="stop", response_form=ResponseForm.JSON_OBJECT, requests=0
    )
    assert stored_reply(7, "no", "refusal", None).refusal == "no"
    assert stored_reply(7, None, "content_filter", None).text is None
    shared = same_reply(Reply(7, "hm", 1.5, requests=3, failures=("500",), usage=Usage(5, 6)), 8)
    assert shared == Reply(8, "hm", 0.0, requests=0)
    assert reply.requests == 1
