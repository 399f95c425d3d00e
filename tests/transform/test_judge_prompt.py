from __future__ import annotations

import json
from typing import Any

import pytest

from rebase_db.task.file import TaskFile
from rebase_db.transform.judge_prompt import SCHEMA, Judgement, messages, read_judgement, template
from rebase_db.transform.provider import Reply, ResponseForm
from rebase_db.transform.teacher import Rejection


def task(**fields: Any) -> TaskFile:
    plain: dict[str, Any] = {
        "name": "mood",
        "instruction": "Tell the {{ mood }}.",
        "examples": [{"input": "I won", "output": "glad"}],
    }
    return TaskFile.model_validate(plain | fields)


def judge(text: str, form: ResponseForm = ResponseForm.JSON_SCHEMA, finish_reason: str = "stop") -> Any:
    return read_judgement(Reply(1, text, 0.1, finish_reason=finish_reason, response_form=form))


def test_the_judge_is_told_the_task_and_shown_the_example_last() -> None:
    system, user = messages(task(notes="Mind it.", labels=["glad", "sad"]), "I <lost>", "sad", None)
    for part in ("Tell the {{ mood }}.", "Mind it.", '["glad", "sad"]', '{"input": "I won", "output": "glad"}'):
        assert part in user["content"]
    assert user["content"].endswith('<candidate>\n{"input": "I \\u003clost\\u003e", "output": "sad"}\n</candidate>')
    assert "reason, points" in system["content"]
    assert all(f"\n{points} - " in system["content"] for points in range(1, 6))


def test_a_rationale_is_shown_and_asked_about() -> None:
    thought = "Winning is fun. So the answer is glad."
    reasoning = task(reasoning=True, labels=["glad", "sad"], examples=[{"input": "I won", "output": thought}])
    system, user = messages(reasoning, "I lost", "sad", "It hurts. The answer is sad.")
    assert "rationale" in system["content"]
    assert '{"input": "I lost", "rationale": "It hurts. The answer is sad.", "output": "sad"}' in user["content"]
    assert "rationale" not in messages(task(), "I lost", "sad", None)[0]["content"]


def test_the_template_is_known_by_name() -> None:
    assert template().name == "judge-v1"
    assert "{{ candidate | data }}" in template().text


def test_the_schema_asks_for_what_is_read() -> None:
    assert SCHEMA["required"] == list(SCHEMA["properties"]) == ["reason", "points"]
    for points in SCHEMA["properties"]["points"]["enum"]:
        assert judge(json.dumps({"reason": "so", "points": points})) == Judgement(points, "so")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"reason": "so", "points": 0}', "wrong_type"),
        ('{"reason": "so", "points": 6}', "wrong_type"),
        ('{"reason": "so", "points": "4"}', "wrong_type"),
        ('{"reason": "so", "points": 4.0}', "wrong_type"),
        ('{"reason": "so", "points": true}', "wrong_type"),
        ('{"reason": 3, "points": 4}', "wrong_type"),
        ('{"reason": " ", "points": 4}', "empty_field"),
        ('{"points": 4}', "wrong_keys"),
        ('{"reason": "so", "score": 4}', "wrong_keys"),
        ('{"reason": "so", "points": 4', "cut"),
        ("4", "not_an_object"),
        ("I cannot judge this.", "refusal"),
        ("", "not_json"),
    ],
)
@pytest.mark.parametrize("form", ResponseForm)
def test_points_are_never_guessed(text: str, name: str, form: ResponseForm) -> None:
    outcome = judge(text, form)
    assert isinstance(outcome, Rejection), outcome
    assert outcome.reason.value == name


def test_a_judgement_is_read_leniently_where_no_schema_held_it() -> None:
    raw = 'My view:\n```json\n{"reason": "so", "points": 4,}\n```'
    assert judge(raw, ResponseForm.TEXT) == Judgement(4, "so")
    assert isinstance(judge(raw), Rejection)


def test_a_judgement_that_was_cut_is_none() -> None:
    outcome = judge('{"reason": "so", "points": 4}', ResponseForm.TEXT, "length")
    assert isinstance(outcome, Rejection)
    assert outcome.reason.value == "cut"
