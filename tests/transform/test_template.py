from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from rebase_db.errors import TaskError
from rebase_db.hashing import canonical_json
from rebase_db.task.file import TaskFile
from rebase_db.transform.provider import Usage
from rebase_db.transform.teacher import Answer, ParsedExample, Reading, SourceRow, Teacher, make_teacher

PAIRS = {
    "name": "pairs",
    "datasets": ["snli", "super_glue*"],
    "columns": ["premise", "label"],
    "input": "Premise: {{ premise }}\n",
    "output": "{{ label }}",
    "labels": {"0": "entailment", "Contradiction": "contradiction"},
}
ANY = {"columns": ["a.b"], "input": '{{ row["a.b"] }}', "output": '{{ row.get("tag", "neutral") }}'}


def teacher(*rules: dict[str, Any], labels: list[str] | None = None) -> Teacher:
    task = TaskFile.model_validate(
        {
            "name": "nli",
            "instruction": "Judge.",
            "labels": labels,
            "examples": [{"input": "a", "output": labels[0] if labels else "x"}],
            "teacher": {"provider": "template", "rules": rules},
        }
    )
    return make_teacher(task)


def answer(source: dict[str, str], *rules: dict[str, Any], dataset: str = "snli", labels: Any = None) -> Answer:
    answering = teacher(*rules, labels=labels)
    (only,) = answering.answer([answering.prepare(SourceRow(7, dataset, "default", source))])
    assert only.link_id == 7
    return only


NLI = ["entailment", "neutral", "contradiction"]


def test_the_first_rule_that_fits_renders_the_example() -> None:
    given = answer({"premise": "It rains.", "label": "0", "a.b": "x"}, PAIRS, ANY, labels=NLI)
    assert given.parsed == ParsedExample("Premise: It rains.", "entailment")
    assert given.reading == Reading.STRICT
    assert given.reply.text is not None
    assert json.loads(given.reply.text) == {"input": "Premise: It rains.", "output": "0"}
    assert given.reply.response_form is None
    assert given.reply.usage.cost == Decimal(0)
    assert given.reply.usage.prompt_tokens == 0


@pytest.mark.parametrize(
    ("dataset", "columns"),
    [("mnli", {"premise": "p", "label": "0", "a.b": "x"}), ("snli", {"premise": "p", "a.b": "x"})],
)
def test_a_rule_that_does_not_fit_leaves_the_row_to_the_next(dataset: str, columns: dict[str, str]) -> None:
    assert answer(columns, PAIRS, ANY, dataset=dataset).parsed == ParsedExample("x", "neutral")


def test_globs_name_datasets_with_case() -> None:
    columns = {"premise": "p", "label": "0"}
    assert answer(columns, PAIRS, dataset="super_glue/cb").parsed is not None
    assert answer(columns, PAIRS, dataset="SNLI").parsed is None


def test_no_rule_names_the_columns_there_are() -> None:
    given = answer({"question": "q", "answer": "a"}, PAIRS)
    assert given.reject_reason == "no_rule_fits: snli has the columns question, answer"
    assert given.reply.text is None


@pytest.mark.parametrize(
    ("label", "output"),
    [("0", "entailment"), (" contradiction ", "contradiction"), ("CONTRADICTION", "contradiction")],
)
def test_a_label_map_is_exact_or_without_case(label: str, output: str) -> None:
    parsed = answer({"premise": "p", "label": label}, PAIRS).parsed
    assert parsed is not None
    assert parsed.output == output


def test_a_label_out_of_the_map_is_rejected_by_name() -> None:
    given = answer({"premise": "p", "label": "-1"}, PAIRS)
    assert given.reject_reason == "label_not_mapped: '-1'"
    assert given.reply.text == '{"input": "Premise: p", "output": "-1"}'


def test_a_label_out_of_the_set_is_left_for_the_check() -> None:
    assert answer({"a.b": "x", "tag": "maybe"}, ANY, labels=NLI).parsed == ParsedExample("x", "maybe")


def test_an_empty_side_is_rejected_by_name() -> None:
    assert answer({"a.b": " \n"}, ANY).reject_reason == "empty_field: input is empty"
    assert answer({"a.b": "x", "tag": ""}, ANY).reject_reason == "empty_field: output is empty"


@pytest.mark.parametrize(
    "source",
    [
        '{{ row["missing"] }}',
        "{{ a.nope.nope }}",
        "{{ 1 // 0 }}",
        "{{ a | int / 0 }}",
        '{{ row.clear() }}{{ "x" }}',
        "{{ a.__class__.__mro__ }}",
        "{{ range(99999999) | list }}",
    ],
)
def test_a_template_that_fails_on_a_row_is_a_named_rejection(source: str) -> None:
    given = answer({"a": "x"}, {"columns": ["a"], "input": source, "output": "y"})
    assert given.reject_reason is not None
    assert given.reject_reason.startswith("template_error: ")


@pytest.mark.parametrize("text", ["{{ 7 * 7 }}", "{% include 'x' %}", "</source_row>", "{# gone #}", "<b>&amp;</b>"])
def test_a_row_is_never_read_as_a_template(text: str) -> None:
    rule = {"columns": ["a"], "input": "{{ a }}", "output": "{{ row.a }}"}
    assert answer({"a": text}, rule).parsed == ParsedExample(text, text)


def test_a_column_may_be_called_row_or_range() -> None:
    rule = {"columns": ["range", "row"], "input": "{{ range }}", "output": '{{ row["row"] }}'}
    assert answer({"range": "r", "row": "w"}, rule).parsed == ParsedExample("r", "w")


def test_answers_keep_their_rows() -> None:
    rows = [SourceRow(link, "d", "c", {"a.b": str(link)}) for link in (5, 3, 9)]
    answering = teacher(ANY)
    answers = list(answering.answer([answering.prepare(row) for row in rows]))
    assert [(a.link_id, a.parsed and a.parsed.input) for a in answers] == [(5, "5"), (3, "3"), (9, "9")]


def test_the_prompt_hash_tells_rows_apart_and_equal_rows_together() -> None:
    one, same, other = (
        answer({"a.b": text}, ANY, dataset=dataset).prepared.prompt_hash
        for text, dataset in (("x", "d"), ("x", "d"), ("y", "d"))
    )
    assert one == same != other
    assert len(one) == 32


def test_a_row_is_made_ready_whole_and_costs_nothing() -> None:
    answering, source = teacher(ANY), SourceRow(1, "d", "c", {"a.b": "x" * 100_000})
    prepared = answering.prepare(source)
    assert prepared.row is source
    assert (prepared.messages, prepared.cuts, prepared.most) == ([], {}, Usage(0, 0, Decimal(0)))
    assert answering.whole_row_bytes > 10**15
    assert (answering.in_flight, answering.reusable) == (1, False)
    assert answering.price(1000, 1000) == answering.prompt_tokens(prepared) == 0


def test_a_reply_given_before_is_read_as_one_given_now() -> None:
    answering = teacher(PAIRS)
    prepared = [answering.prepare(SourceRow(1, "snli", "c", {"premise": "p", "label": label})) for label in ("0", "9")]
    for one, given in zip(prepared, answering.answer(prepared), strict=True):
        assert answering.read(one, given.reply) == given


def test_the_identity_has_the_rules() -> None:
    first, second = teacher(PAIRS, ANY), teacher(ANY)
    assert first.identity["provider"] == "template"
    assert first.identity["rules"][0]["labels"] == PAIRS["labels"]
    assert canonical_json(first.identity) != canonical_json(second.identity)
    assert first.prompt.content_hash != second.prompt.content_hash
    assert json.loads(first.prompt.text) == first.identity["rules"]
    first.close()


def test_a_task_without_teacher_has_none_to_make() -> None:
    task = TaskFile.model_validate({"name": "a", "instruction": "b", "examples": [{"input": "c", "output": "d"}]})
    with pytest.raises(TaskError, match="has no teacher"):
        make_teacher(task)
