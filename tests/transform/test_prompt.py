from __future__ import annotations

import json
from typing import Any

import pytest

from rebase_db.hashing import content_hash
from rebase_db.task.file import TaskFile
from rebase_db.transform.answer import answer_schema
from rebase_db.transform.prompt import REWRITE, RewritePrompt, load_template, prompt_hash

NAMES = ["rewrite-v1", "rewrite-v2"]


def task(**fields: Any) -> TaskFile:
    plain: dict[str, Any] = {
        "name": "mood",
        "instruction": "Tell the {{ mood }}.",
        "examples": [{"input": "I won </examples>", "output": "glad"}],
    }
    return TaskFile.model_validate(plain | fields)


def user(prompt: RewritePrompt, **columns: str) -> str:
    return prompt.messages(columns)[1]["content"]


def system(prompt: RewritePrompt) -> str:
    return prompt.messages({"a": "1"})[0]["content"]


@pytest.mark.parametrize("name", NAMES)
def test_the_row_is_last_and_what_comes_before_it_is_the_same_for_all_rows(name: str) -> None:
    prompt = RewritePrompt(task(notes="Mind the {{ braces }}.", labels=["glad", "sad"]), name)
    first, second = prompt.messages({"a": "1"}), prompt.messages({"b": "2"}, cut=["b"])
    assert [message["role"] for message in first] == ["system", "user"]
    assert first[0] == second[0]
    start = first[1]["content"].index("<source_row>")
    assert first[1]["content"][:start] == second[1]["content"][:start]
    assert first[1]["content"][start:] == '<source_row>\n{"a": "1"}\n</source_row>'
    assert second[1]["content"][start:] == '<source_row>\n{"b": "2<cut/>"}\n</source_row>'


@pytest.mark.parametrize("name", NAMES)
def test_what_the_task_says_reaches_the_teacher(name: str) -> None:
    message = user(RewritePrompt(task(notes="Mind the {{ braces }}.", labels=["glad", "sad"]), name), a="1")
    assert "Tell the {{ mood }}." in message
    assert "<notes>\nMind the {{ braces }}.\n</notes>" in message
    assert '["glad", "sad"]' in message
    bare = user(RewritePrompt(task(), name), a="1")
    assert "<notes>" not in bare
    assert "labels" not in bare


@pytest.mark.parametrize("name", NAMES)
def test_examples_stand_one_a_line_in_the_form_of_the_answer(name: str) -> None:
    message = user(RewritePrompt(task(), name), a="1")
    (line,) = message[message.index("<examples>\n") + 11 : message.index("\n</examples>")].splitlines()
    assert json.loads(line) == {"input": "I won </examples>", "output": "glad"}


@pytest.mark.parametrize("name", NAMES)
def test_a_reasoning_task_asks_for_a_rationale_and_shows_one(name: str) -> None:
    thought = "Winning is fun. So the answer is glad."
    reasoning = task(reasoning=True, labels=["glad", "sad"], examples=[{"input": "I won", "output": thought}])
    asked = system(RewritePrompt(reasoning, name))
    assert "input, rationale, output" in asked
    assert "last sentence states the output" in asked
    assert json.dumps({"input": "I won", "rationale": thought, "output": "glad"}) in user(
        RewritePrompt(reasoning, name)
    )
    assert "rationale" not in system(RewritePrompt(task(), name))


def test_the_system_message_explains_the_mark_of_a_cut() -> None:
    assert "ends in <cut/>" in system(RewritePrompt(task()))


def test_only_tasks_with_labels_are_told_of_labels() -> None:
    assert "labels" not in system(RewritePrompt(task()))
    assert "labels" in system(RewritePrompt(task(labels=["glad", "sad"])))


def test_no_blank_lines_are_left_by_what_a_task_does_not_have() -> None:
    for fields in ({}, {"notes": "n"}, {"labels": ["glad", "sad"]}):
        for message in RewritePrompt(task(**fields)).messages({"a": "1"}):
            assert "\n\n\n" not in message["content"]
            assert message["content"] == message["content"].strip()


def test_the_hash_is_over_the_messages_and_the_schema() -> None:
    prompt, schema = RewritePrompt(task()), answer_schema(None, reasoning=False)
    same = prompt_hash(prompt.messages({"a": "1"}), schema)
    assert len(same) == 32
    assert same == prompt_hash(RewritePrompt(task()).messages({"a": "1"}), dict(schema))
    assert same == content_hash("prompt/v2", {"messages": prompt.messages({"a": "1"}), "schema": schema})
    assert same != prompt_hash(prompt.messages({"a": "2"}), schema)
    assert same != prompt_hash(RewritePrompt(task(notes="n")).messages({"a": "1"}), schema)
    assert same != prompt_hash(prompt.messages({"a": "1"}), answer_schema(["glad"], reasoning=False))


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_known_by_name_and_can_be_rehashed(name: str) -> None:
    template = RewritePrompt(task(), name).template
    assert template == load_template(name)
    assert template.name == name
    assert template.content_hash == content_hash("prompt-template/v1", {"name": name, "text": template.text})
    assert "{{ row | data }}" in template.text


def test_teachers_are_sent_the_newest_template() -> None:
    assert RewritePrompt(task()).template.name == REWRITE == NAMES[-1]


def test_a_published_template_never_changes() -> None:
    assert load_template("rewrite-v1").content_hash.hex().startswith("62f11673b22ebd89")


def test_there_is_no_template_of_an_unknown_name() -> None:
    with pytest.raises(FileNotFoundError):
        load_template("rewrite-v0")
