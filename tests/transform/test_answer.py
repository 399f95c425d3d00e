from __future__ import annotations

import json
from typing import Any

import pytest

from rebase_db.transform.answer import answer_keys, answer_schema, read_answer
from rebase_db.transform.provider import Reply, ResponseForm, Usage
from rebase_db.transform.teacher import Answer, ParsedExample, Prepared, Reading, Rejection, SourceRow

GOOD = '{"input": "I won", "output": "glad"}'
FORMS = [ResponseForm.JSON_SCHEMA, ResponseForm.JSON_OBJECT, ResponseForm.TEXT, None]


def read(
    raw: str | None,
    *,
    labels: Any = None,
    reasoning: bool = False,
    form: ResponseForm | None = ResponseForm.JSON_SCHEMA,
    finish_reason: str | None = "stop",
    refusal: str | None = None,
) -> tuple[ParsedExample, Reading] | Rejection:
    reply = Reply(1, raw, 0.1, refusal=refusal, finish_reason=finish_reason, response_form=form)
    return read_answer(reply, labels=labels, reasoning=reasoning)


def example(raw: str, **options: Any) -> ParsedExample:
    outcome = read(raw, **options)
    assert not isinstance(outcome, Rejection), outcome
    assert outcome[1] == Reading.STRICT
    return outcome[0]


def reason(raw: str | None, **options: Any) -> str:
    outcome = read(raw, **options)
    assert isinstance(outcome, Rejection), outcome
    return outcome.reason.value


@pytest.mark.parametrize("form", FORMS)
def test_a_good_answer_is_taken_as_it_is(form: ResponseForm | None) -> None:
    assert read(GOOD, form=form) == (ParsedExample("I won", "glad"), Reading.STRICT)
    assert example('{"output": " x\\n", "input": "  if a:\\n    b"}') == ParsedExample("  if a:\n    b", " x\n")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (None, "not_json"),
        ("", "not_json"),
        (" \n", "not_json"),
        ("glad", "not_json"),
        ("I am sorry, I cannot.", "refusal"),
        ("I\u2019m sorry, but I can\u2019t help with that.", "refusal"),
        ("As an AI language model, I do not rewrite such texts.", "refusal"),
        (f"```json\n{GOOD}\n```", "code_fence"),
        (f"```\n{GOOD}", "code_fence"),
        (f"Here it is: {GOOD}", "not_json"),
        (GOOD + GOOD, "several_objects"),
        (f"{GOOD}\n{GOOD}\n", "several_objects"),
        (GOOD[:-3], "cut"),
        ('{"input": "I w', "cut"),
        (f"```json\n{GOOD[:-3]}", "cut"),
        (GOOD[:-1] + ",}", "not_json"),
        ("[" * 100_000, "not_json"),
        ('{"a":' * 100_000, "cut"),
        ("[" + GOOD + "]", "not_an_object"),
        ('"text"', "not_an_object"),
        ("NaN", "not_an_object"),
        ("null", "not_an_object"),
        ("{}", "wrong_keys"),
        ('{"input": "a"}', "wrong_keys"),
        ('{"input": "a", "Output": "b"}', "wrong_keys"),
        ('{"input": "a", "output": "b", "rationale": "c"}', "wrong_keys"),
        ('{"input": "a", "output": "b", "output": "c"}', "wrong_keys"),
        ('{"input": "a", "output": 3}', "wrong_type"),
        ('{"input": null, "output": "b"}', "wrong_type"),
        ('{"input": ["a"], "output": "b"}', "wrong_type"),
        ('{"input": "a\\u0000", "output": "b"}', "wrong_type"),
        ('{"input": "a", "output": "\\ud83d"}', "wrong_type"),
        ('{"input": "a", "output": " \\n"}', "empty_field"),
        ('{"input": "", "output": "b"}', "empty_field"),
    ],
)
def test_what_is_no_example_under_a_schema_has_a_name(raw: str | None, name: str) -> None:
    assert reason(raw) == name


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_answer_is_cut_even_when_it_parses(form: ResponseForm | None) -> None:
    assert reason(GOOD, finish_reason="length", form=form) == "cut"
    assert reason('{"input": "I w', finish_reason="length", form=form) == "cut"


@pytest.mark.parametrize("form", FORMS)
def test_a_refusal_is_one_by_field_or_by_finish_reason(form: ResponseForm | None) -> None:
    assert str(read(None, refusal="I will not.", form=form)) == "refusal: I will not."
    assert reason(None, finish_reason="content_filter", form=form) == "refusal"
    assert reason(GOOD, finish_reason="content_filter", form=form) == "refusal"


def test_words_of_refusal_within_an_example_are_none() -> None:
    assert example('{"input": "I\'m sorry, I can\'t come", "output": "sad"}').output == "sad"


def test_a_label_is_spelled_as_in_the_set() -> None:
    assert example('{"input": "a", "output": " GLAD "}', labels=("glad", "sad")) == ParsedExample("a", "glad")


def test_an_output_that_is_no_label_is_left_for_the_check() -> None:
    assert example('{"input": "a", "output": " Gladly "}', labels=("glad", "sad")).output == " Gladly "
    assert example('{"input": "a", "output": "it is sad"}', labels=("glad", "sad")).output == "it is sad"


def test_a_reasoned_answer_has_its_rationale_apart() -> None:
    raw = json.dumps({"input": "a", "rationale": "Because. The answer is sad.", "output": "sad"})
    assert example(raw, reasoning=True) == ParsedExample("a", "sad", "Because. The answer is sad.")
    assert reason(GOOD, reasoning=True) == "wrong_keys"
    assert reason(raw.replace("Because. The answer is sad.", ""), reasoning=True) == "empty_field"


def test_a_chain_of_thought_in_the_output_is_taken_for_its_final_label() -> None:
    raw = json.dumps({"input": "a", "rationale": "why", "output": "It rained, so the answer is Sad."})
    assert example(raw, reasoning=True, labels=("glad", "sad")) == ParsedExample("a", "sad", "why")
    raw = json.dumps({"input": "a", "rationale": "the answer is sad", "output": "who knows"})
    assert example(raw, reasoning=True, labels=("glad", "sad")).output == "who knows"


def test_a_rejection_can_be_stored() -> None:
    assert str(read('{"a\\u0000\\ud800": 1}')) == "wrong_keys: has a\ufffd\ufffd; wants input, output"


@pytest.mark.parametrize("form", FORMS)
def test_a_rejection_is_one_short_line(form: ResponseForm | None) -> None:
    text = str(read("x\n" * 10_000, form=form))
    assert "\n" not in text
    assert len(text) < 300


@pytest.mark.parametrize("reasoning", [False, True])
def test_the_schema_asks_for_what_is_read(reasoning: bool) -> None:
    schema = answer_schema(("glad", "sad"), reasoning=reasoning)
    assert list(schema["properties"]) == schema["required"] == answer_keys(reasoning=reasoning)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["output"]["enum"] == ["glad", "sad"]
    answer = dict.fromkeys(schema["required"], "glad")
    assert example(json.dumps(answer), reasoning=reasoning, labels=("glad", "sad")).output == "glad"


def test_a_huge_label_set_stays_out_of_the_schema() -> None:
    schema = answer_schema([str(number) for number in range(1000)], reasoning=False)
    assert schema["properties"]["output"] == {"type": "string"}


def test_an_answer_has_exactly_one_outcome() -> None:
    prepared = Prepared(SourceRow(1, "d", "c", {}), b"", [], {}, Usage())
    text, error = Reply(1, "x", 0.0), Reply(1, None, 0.0, error="x")
    taken: dict[str, Any] = {"parsed": ParsedExample("a", "b"), "reading": Reading.STRICT}
    assert Answer(prepared, text, **taken).link_id == 1
    assert Answer(prepared, error).parsed is None
    for reply, outcome in ((text, {}), (error, taken), (error, {"reject_reason": "a"})):
        with pytest.raises(ValueError, match="exactly one"):
            Answer(prepared, reply, **outcome)
    with pytest.raises(ValueError, match="read in some way"):
        Answer(prepared, text, reject_reason="cut: it", reading=Reading.STRICT)
