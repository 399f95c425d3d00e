from __future__ import annotations

import json
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebase_db.errors import TeacherError
from rebase_db.task.file import TaskFile
from rebase_db.transform.answer import answer_schema
from rebase_db.transform.language_model import LanguageModelTeacher
from rebase_db.transform.prompt import RewritePrompt, prompt_hash
from rebase_db.transform.provider import Reply, Request, ResponseForm, Usage
from rebase_db.transform.teacher import Cut, ParsedExample, Reading, SourceRow, Teacher
from tests.transform.fake_provider import FakeProvider, good_answer, said

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS = "lorem ipsum dolor sit amet " * 1000


def task(**fields: Any) -> TaskFile:
    plain: dict[str, Any] = {
        "name": "mood",
        "instruction": "Tell the mood.",
        "labels": ["glad", "sad"],
        "examples": [{"input": "I won", "output": "glad"}],
    }
    return TaskFile.model_validate(plain | fields)


def row(link: int = 1, relevance: dict[str, float] | None = None, **columns: str) -> SourceRow:
    return SourceRow(link, "d", "c", columns, relevance)


def test_each_row_is_asked_once_and_answered_under_its_link() -> None:
    def quoting(request: Request, _: Mapping[str, Any]) -> Reply:
        line = request.messages[1]["content"].splitlines()[-2]
        return said(request, json.dumps({"input": json.loads(line)["text"], "output": "SAD"}))

    provider = FakeProvider(quoting, backwards=True)
    teacher: Teacher = LanguageModelTeacher(task(), provider)
    prepared = [teacher.prepare(row(link, text=f"row {link}")) for link in (5, 3, 9)]
    answers = list(teacher.answer(prepared))
    assert [answer.link_id for answer in answers] == [9, 3, 5]
    for answer in answers:
        assert answer.parsed == ParsedExample(f"row {answer.link_id}", "sad")
        assert answer.reading == Reading.STRICT
        assert answer.prepared in prepared
    assert sorted(request.key for request in provider.asked) == [3, 5, 9]
    assert provider.schemas == [answer_schema(("glad", "sad"), reasoning=False)]
    assert provider.names == ["example"]


def test_a_row_made_ready_has_its_prompt_hash_and_bound() -> None:
    provider = FakeProvider(input_price=Decimal(2), output_price=Decimal(10))
    teacher = LanguageModelTeacher(task(), provider)
    prepared = teacher.prepare(row(text="I lost"))
    messages = RewritePrompt(task()).messages({"text": "I lost"})
    schema = answer_schema(("glad", "sad"), reasoning=False)
    assert prepared.messages == messages
    assert prepared.prompt_hash == prompt_hash(messages, schema)
    assert prepared.cuts == {}
    assert prepared.most.prompt_tokens is not None
    assert (
        prepared.most.prompt_tokens
        >= provider.most_tokens(messages) + provider.most_tokens([{"content": str(schema)}]) // 2
    )
    assert prepared.most.completion_tokens == 100
    assert prepared.most.cost == (prepared.most.prompt_tokens * 2 + 1000) / Decimal(1_000_000)
    assert teacher.price(1_000_000, 100_000) == Decimal(3)
    assert teacher.prompt_tokens(prepared) == provider.count_tokens(messages)
    assert LanguageModelTeacher(task(), FakeProvider()).price(1, 1) is None
    assert LanguageModelTeacher(task(), FakeProvider()).prepare(row(text="x")).most.cost is None


def test_what_is_asked_decides_the_hash() -> None:
    def digest(source: SourceRow, **fields: Any) -> bytes:
        return LanguageModelTeacher(task(**fields), FakeProvider()).prepare(source).prompt_hash

    same = digest(row(text="x"))
    assert same == digest(SourceRow(2, "mirror", "other", {"text": "x"}, {"text": 0.5}))
    assert same != digest(row(text="y"))
    assert same != digest(row(text="x"), notes="n")
    assert same != digest(row(text="x"), labels=["glad", "sad", "mixed"])


def test_a_long_row_is_cut_to_what_the_context_leaves() -> None:
    provider = FakeProvider(context_tokens=2000, answer_tokens=200)
    teacher = LanguageModelTeacher(task(), provider)
    source = row(1, {"text": 0.9, "boilerplate": 0.1}, boilerplate=WORDS, text="I lost my keys. " * 20)
    prepared = teacher.prepare(source)
    assert provider.count_tokens(prepared.messages) <= 1800
    assert prepared.row is source
    assert list(prepared.cuts) == ["boilerplate"]
    assert 0 < prepared.cuts["boilerplate"].kept < prepared.cuts["boilerplate"].of == len(WORDS)
    shown = json.loads(prepared.messages[1]["content"].splitlines()[-2])
    assert shown["text"] == source.columns["text"]
    assert shown["boilerplate"] == WORDS[: prepared.cuts["boilerplate"].kept] + "<cut/>"
    assert len(provider.counted) < 30


def test_a_row_that_cannot_be_cut_to_fit_is_an_error_and_not_asked() -> None:
    provider = FakeProvider(context_tokens=1500, answer_tokens=200)
    teacher = LanguageModelTeacher(task(), provider)
    hopeless = teacher.prepare(SourceRow(1, "d", "c", {"a, name; " * 1000: "x"}))
    assert hopeless.messages == []
    assert hopeless.most == Usage(0, 0)
    assert hopeless.cuts == {}
    assert hopeless.prompt_hash != teacher.prepare(SourceRow(1, "d", "c", {"b, name; " * 1000: "x"})).prompt_hash
    fine, failed = teacher.answer([hopeless, teacher.prepare(row(2, text="x"))])
    assert (fine.link_id, failed.link_id) == (2, 1)
    assert failed.reply.error is not None
    assert failed.reply.requests == 0
    assert failed.reply.retry_after is None
    assert [request.key for request in provider.asked] == [2]
    assert [answer.link_id for answer in teacher.answer([hopeless])] == [1]


def test_a_task_without_room_for_a_row_is_refused() -> None:
    LanguageModelTeacher(task(), FakeProvider(context_tokens=1500))
    with pytest.raises(TeacherError, match=r"mood: .* tokens") as refused:
        LanguageModelTeacher(task(examples=[{"input": WORDS, "output": "glad"}]), FakeProvider(context_tokens=1500))
    assert "context_tokens" in refused.value.hint


ESCAPED = st.text() | st.text(st.sampled_from('<>&\x00\x7f\u2028\U000e0041"\\a'))


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(ESCAPED, ESCAPED), max_size=40))
def test_a_row_of_few_bytes_is_never_cut(cells: list[tuple[str, str]]) -> None:
    class Bytes(FakeProvider):  # the most tokens that a tokenizer can make
        count_tokens = FakeProvider.most_tokens

    small = Bytes(context_tokens=9000)
    most = LanguageModelTeacher(task(), small).whole_row_bytes
    columns: dict[str, str] = {}
    for name, text in cells:
        if len(json.dumps({**columns, name: text}, ensure_ascii=False).encode()) <= most:
            columns[name] = text
    teacher = LanguageModelTeacher(task(), small)
    assert teacher.prepare(SourceRow(1, "d", "c", columns)).cuts == {}


def test_the_worst_row_just_fits() -> None:
    class Bytes(FakeProvider):
        count_tokens = FakeProvider.most_tokens

    teacher = LanguageModelTeacher(task(), Bytes(context_tokens=9000))
    most = teacher.whole_row_bytes
    assert most > 100
    assert teacher.prepare(SourceRow(1, "d", "c", {"": "<" * (most - 8)})).cuts == {}
    assert teacher.prepare(SourceRow(1, "d", "c", {"": "<" * (most + 20)})).cuts != {}


def test_replies_become_examples_rejections_and_errors() -> None:
    def scripted(request: Request, schema: Mapping[str, Any]) -> Reply:
        replies = {
            1: said(request, '{"input": "", "output": "glad"}'),
            2: Reply(request.key, None, 0.5, error="503", retry_after=2.0),
            3: said(request, '```\n{"input": "x", "output": "gloomy"}\n```', response_form=ResponseForm.TEXT),
        }
        return replies.get(request.key) or good_answer(request, schema)

    teacher = LanguageModelTeacher(task(), FakeProvider(scripted))
    rejected, failed, fenced, good = teacher.answer([teacher.prepare(row(link, text="x")) for link in (1, 2, 3, 4)])
    assert rejected.reject_reason == "empty_field: input is empty"
    assert rejected.reply.text == '{"input": "", "output": "glad"}'
    assert (failed.parsed, failed.reject_reason, failed.reply.retry_after) == (None, None, 2.0)
    assert (fenced.parsed, fenced.reading) == (ParsedExample("x", "gloomy"), Reading.FENCED)
    assert good.parsed == ParsedExample("made up input", "glad")


def test_a_reply_given_before_is_read_as_one_given_now() -> None:
    provider = FakeProvider()
    teacher = LanguageModelTeacher(task(reasoning=True), provider)
    prepared = teacher.prepare(row(text="x"))
    (given,) = teacher.answer([prepared])
    assert given.parsed == ParsedExample("made up input", "glad", "made up rationale")
    assert teacher.read(prepared, given.reply) == given
    assert len(provider.asked) == 1


def test_closing_the_iterator_drops_what_is_still_asked() -> None:
    provider = FakeProvider()
    teacher = LanguageModelTeacher(task(), provider)
    rows = iter([teacher.prepare(row(link, text="x")) for link in range(5)])
    with closing(teacher.answer(rows)) as answers:  # type: ignore[type-var]
        next(answers)
        assert provider.ended == 0
    assert len(provider.asked) == provider.ended == 1
    assert len(list(rows)) == 4, "rows are taken only as there is room for them"


def test_a_reply_to_nothing_that_was_asked_is_no_answer() -> None:
    teacher = LanguageModelTeacher(task(), FakeProvider(lambda request, _: Reply(request.key + 1, "{}", 0.0)))
    with pytest.raises(KeyError):
        list(teacher.answer([teacher.prepare(row(1, text="x"))]))


def test_the_rest_is_the_providers() -> None:
    provider = FakeProvider(in_flight=64)
    teacher = LanguageModelTeacher(task(), provider)
    assert teacher.identity == provider.identity
    assert teacher.in_flight == 64
    assert teacher.reusable
    assert teacher.prompt.name == "rewrite-v2"
    assert LanguageModelTeacher(task(), provider, "rewrite-v1").prompt.name == "rewrite-v1"
    teacher.close()
    assert provider.closed


def test_cuts_are_told_in_characters() -> None:
    assert LanguageModelTeacher(task(), FakeProvider()).prepare(row(text=WORDS)).cuts["text"].of == len(WORDS)
    assert Cut(3, 5).kept == 3
