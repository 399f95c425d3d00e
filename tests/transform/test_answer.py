from __future__ import annotations

import json
from typing import Any

import pytest

from rebase_db.transform.answer import answer_keys, answer_schema, parse_answer
from rebase_db.transform.teacher import Answer, ParsedExample, Rejection, RejectReason, Usage

GOOD = '{"input": "I won", "output": "glad"}'


def parse(raw: str | None, **options: Any) -> ParsedExample | Rejection:
    settings: dict[str, Any] = {"finish_reason": "stop", "refusal": None, "labels": None, "reasoning": False}
    return parse_answer(raw, **(settings | options))


def reason(raw: str | None, **options: Any) -> str:
    outcome = parse(raw, **options)
    assert isinstance(outcome, Rejection), outcome
    return outcome.reason.value


def test_a_good_answer_is_taken_as_it_is() -> None:
    assert parse(GOOD) == ParsedExample("I won", "glad")
    assert parse('{"output": " x\\n", "input": "  if a:\\n    b"}') == ParsedExample("  if a:\n    b", " x\n")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (None, "not_json"),
        ("", "not_json"),
        ("I am sorry, I cannot.", "not_json"),
        (f"```json\n{GOOD}\n```", "not_json"),
        (GOOD + GOOD, "not_json"),
        (GOOD[:-3], "not_json"),
        ("[" * 100_000, "not_json"),
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
def test_what_is_no_example_has_a_name(raw: str | None, name: str) -> None:
    assert reason(raw) == name


def test_a_cut_answer_is_cut_even_when_it_parses() -> None:
    assert reason(GOOD, finish_reason="length") == "cut"
    assert reason('{"input": "I w', finish_reason="length") == "cut"


def test_a_refusal_is_one_by_field_or_by_finish_reason() -> None:
    assert str(parse(None, refusal="I will not.")) == "refusal: I will not."
    assert reason(None, finish_reason="content_filter") == "refusal"


def test_a_label_is_normalised_to_the_spelling_of_the_set() -> None:
    assert parse('{"input": "a", "output": " GLAD "}', labels=("glad", "sad")) == ParsedExample("a", "glad")
    assert reason('{"input": "a", "output": "gladly"}', labels=("glad", "sad")) == "label_not_in_set"


def test_a_reasoned_answer_has_its_rationale_apart() -> None:
    raw = json.dumps({"input": "a", "rationale": "Because. The answer is sad.", "output": "sad"})
    assert parse(raw, reasoning=True) == ParsedExample("a", "sad", "Because. The answer is sad.")
    assert reason(GOOD, reasoning=True) == "wrong_keys"
    assert reason(raw.replace("Because. The answer is sad.", ""), reasoning=True) == "empty_field"


def test_a_chain_of_thought_in_the_output_is_taken_for_its_final_label() -> None:
    raw = json.dumps({"input": "a", "rationale": "why", "output": "It rained, so the answer is Sad."})
    assert parse(raw, reasoning=True, labels=("glad", "sad")) == ParsedExample("a", "sad", "why")
    raw = json.dumps({"input": "a", "rationale": "the answer is sad", "output": "who knows"})
    assert reason(raw, reasoning=True, labels=("glad", "sad")) == "label_not_in_set"
    assert reason('{"input": "a", "output": "it is sad"}', labels=("glad", "sad")) == "label_not_in_set"


def test_a_rejection_can_be_stored() -> None:
    assert str(parse('{"a\\u0000\\ud800": 1}')) == "wrong_keys: has a\ufffd\ufffd; wants input, output"


def test_a_rejection_is_one_short_line() -> None:
    text = str(parse("x\n" * 10_000))
    assert "\n" not in text
    assert len(text) < 300


@pytest.mark.parametrize("reasoning", [False, True])
def test_the_schema_asks_for_what_the_parser_takes(reasoning: bool) -> None:
    schema = answer_schema(("glad", "sad"), reasoning=reasoning)
    assert list(schema["properties"]) == schema["required"] == answer_keys(reasoning=reasoning)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["output"]["enum"] == ["glad", "sad"]
    answer = dict.fromkeys(schema["required"], "glad")
    assert isinstance(parse(json.dumps(answer), reasoning=reasoning, labels=("glad", "sad")), ParsedExample)


def test_a_huge_label_set_stays_out_of_the_schema() -> None:
    schema = answer_schema([str(number) for number in range(1000)], reasoning=False)
    assert schema["properties"]["output"] == {"type": "string"}


def test_an_answer_has_exactly_one_outcome() -> None:
    def answer(**outcome: Any) -> Answer:
        return Answer(1, b"", None, None, Usage(), 0.0, **outcome)

    example = ParsedExample("a", "b")
    assert answer(parsed=example).parsed is example
    assert answer(error="x", retry_after=1.0).retry_after == 1.0
    for outcome in ({}, {"parsed": example, "error": "x"}, {"reject_reason": "a", "error": "x"}):
        with pytest.raises(ValueError, match="exactly one"):
            answer(**outcome)
    with pytest.raises(ValueError, match="only an error"):
        answer(reject_reason=str(Rejection(RejectReason.CUT, "")), retry_after=1.0)
