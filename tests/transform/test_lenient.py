from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebase_db.transform.answer import read_answer
from rebase_db.transform.mend import mended
from rebase_db.transform.provider import Reply, ResponseForm
from rebase_db.transform.teacher import ParsedExample, Reading, Rejection

GOOD = '{"input": "I won", "output": "glad"}'
EXAMPLE = ParsedExample("I won", "glad")


def read(raw: str, form: ResponseForm | None = ResponseForm.TEXT, **options: Any) -> Any:
    reply = Reply(1, raw, 0.1, finish_reason=options.pop("finish_reason", "stop"), response_form=form)
    return read_answer(reply, labels=None, reasoning=False)


@pytest.mark.parametrize(
    "raw",
    [
        f"```json\n{GOOD}\n```",
        f"\n```\n{GOOD}```\n",
        f"```JSON {GOOD}\n```",
        f"```json\n{GOOD}\n",
    ],
)
def test_a_code_fence_is_taken_off(raw: str) -> None:
    assert read(raw) == (EXAMPLE, Reading.FENCED)


@pytest.mark.parametrize(
    "raw",
    [
        f"Here is the example:\n{GOOD}\nI hope it helps.",
        f"Sure!\n```json\n{GOOD}\n```\nShall I make more?",
        f"The set {{1, 2}} and \\frac{{a}}{{b}} are no objects. {GOOD}",
        f"<think>An object such as {{'input': 1}}? No.</think>\n{GOOD}",
        f"Let me think about it.</think>{GOOD}",
        f"I'm sorry it took so long: {GOOD}",
        f"{GOOD}}}",
        f"{{{GOOD}}}",
    ],
)
def test_one_object_among_other_words_is_found(raw: str) -> None:
    assert read(raw) == (EXAMPLE, Reading.EMBEDDED)


@pytest.mark.parametrize(
    ("raw", "example"),
    [
        ('{"input": "I won", "output": "glad",}', EXAMPLE),
        ("{'input': 'I won', 'output': 'glad'}", EXAMPLE),
        ('{input: "I won", output: "glad"}', EXAMPLE),
        ('{"input": "I won" "output": "glad"}', EXAMPLE),
        ('{"input": "I won", "output": glad}', EXAMPLE),
        ("{\u201cinput\u201d: \u201cI won\u201d, \u201coutput\u201d: \u201cglad\u201d}", EXAMPLE),
        ('```json\n{"input": "I won", "output": "glad",}\n```', EXAMPLE),
        ('Here: {"input": "I won", "output": "glad",} Good?', EXAMPLE),
        ('{"input": "I\nwon\t2", "output": "glad"}', ParsedExample("I\nwon\t2", "glad")),
        ('{"input": "He said "I won" twice", "output": "glad"}', ParsedExample('He said "I won" twice', "glad")),
        ('{"input": "a set \\{1\\}", "output": "glad"}', ParsedExample("a set \\{1\\}", "glad")),
        ('{"input": "f(x) { return }", "output": "glad",}', ParsedExample("f(x) { return }", "glad")),
        ('{"input": "caf\\u00e9 \\ud83d\\ude00", "output": "glad",}', ParsedExample("caf\u00e9 \U0001f600", "glad")),
        ('{"input": "He said \\"I won\\"", "output": "glad",}', ParsedExample('He said "I won"', "glad")),
    ],
)
def test_an_object_with_wrong_punctuation_is_mended(raw: str, example: ParsedExample) -> None:
    assert read(raw) == (example, Reading.REPAIRED)


NOT_TAKEN = [
    ("words alone", "glad", "not_json"),
    ("an empty fence", "```json\n```", "not_json"),
    ("refused in words", "I'm sorry, I can't help with this row.", "refusal"),
    ("refused in a fence", "```\nI cannot do that.\n```", "refusal"),
    ("refused at the start", "Unfortunately, this text is about a crime.", "refusal"),
    ("two objects", f"{GOOD}\n{GOOD}", "several_objects"),
    ("two objects among words", f"First: {GOOD} Second: {GOOD.replace('won', 'lost')}", "several_objects"),
    ("two fences", f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```", "several_objects"),
    ("a second one that is cut", f'{GOOD} {{"input": "I lo', "several_objects"),
    ("an object by lines", f"{GOOD}\n{{}}", "several_objects"),
    ("no closing brace", GOOD[:-1], "cut"),
    ("no closing quote", GOOD[:-2], "cut"),
    ("no output", '{"input": "I won", "output":', "cut"),
    ("cut in a fence", f"```json\n{GOOD[:-4]}\n```", "cut"),
    ("cut among words", f"Here: {GOOD[:-4]}", "cut"),
    ("cut behind a brace of the text", '{"input": "I won", "output": "f() { return }', "not_json"),
    ("thoughts without an end", f"<think>perhaps {GOOD}, or else", "cut"),
    ("a list", f"[{GOOD}]", "not_an_object"),
    ("a list in a fence", f"```json\n[{GOOD}]\n```", "not_an_object"),
    ("a list among words", f"Here: [{GOOD}]", "not_an_object"),
    ("an object in a text", json.dumps(GOOD), "not_an_object"),
    ("another case", GOOD.replace("output", "Output") + " ok", "wrong_keys"),
    ("another key", GOOD.replace("output", "answer") + " ok", "wrong_keys"),
    ("one key more", '{"input": "I won", "output": "glad", "note": "!",}', "wrong_keys"),
    ("one key less", '{"input": "I won",}', "wrong_keys"),
    ("one key twice", '{"input": "I won", "input": "I lost", "output": "glad"} ok', "wrong_keys"),
    ("one key twice, and a comma", '{"input": "I won", "input": "I lost", "output": "glad",}', "not_json"),
    ("an object within one", f'{{"example": {GOOD}}} ok', "wrong_keys"),
    ("an object within one that is broken", f'{{"example": {GOOD},}}', "wrong_keys"),
    ("a number", '{"input": "I won", "output": 3,}', "wrong_type"),
    ("nothing", '{"input": "I won", "output": null,}', "wrong_type"),
    ("an empty text", '{"input": "", "output": "glad"} ok', "empty_field"),
    ("no value", '{"input": "I won", "output": }', "not_json"),
    ("a comment", '{"input": "I won", /* at chess */ "output": "glad"}', "not_json"),
    ("words between", '{"input": "I won" at chess, "output": "glad"}', "not_json"),
    ("a quote that may be the text's", "{'input': 'I won', 'output': 'it's'}", "not_json"),
    ("one quote too many", '{"input": "a 5" pipe", "output": "glad"}', "not_json"),
    ("another way to escape", '{"input": "I \\x77on", "output": "glad",}', "not_json"),
    ("half a character", '{"input": "I \\ud83d won", "output": "glad",}', "wrong_type"),
    ("a NUL", '{"input": "I\\u0000won", "output": "glad",}', "wrong_type"),
]


@pytest.mark.parametrize(("raw", "name"), [pytest.param(raw, name, id=what) for what, raw, name in NOT_TAKEN])
def test_what_would_have_to_be_guessed_is_not_taken(raw: str, name: str) -> None:
    outcome = read(raw)
    assert isinstance(outcome, Rejection), outcome
    assert outcome.reason.value == name


@pytest.mark.parametrize("form", [ResponseForm.JSON_OBJECT, ResponseForm.TEXT, None])
def test_a_reply_is_read_leniently_unless_it_was_held_to_a_schema(form: ResponseForm | None) -> None:
    raw = f"Here: {GOOD}"
    assert read(raw, form) == (EXAMPLE, Reading.EMBEDDED)
    assert isinstance(read(raw, ResponseForm.JSON_SCHEMA), Rejection)


def test_a_cut_answer_is_never_mended() -> None:
    whole = '{"input": "He said \\"I won\\" and {left}", "output": "glad"}'
    for end in range(1, len(whole)):
        outcome = read(whole[:end])
        assert isinstance(outcome, Rejection), whole[:end]


PARTS = st.text(st.sampled_from("ab1 \"'\\{}[]:,\n`/*\u00e9\u201c"), max_size=12)


@settings(deadline=None, max_examples=300)
@given(PARTS, PARTS, st.sampled_from(['{{"input": "{}", "output": "{}"}}', "{{'input': '{}', 'output': '{}',}}"]))
def test_what_is_mended_holds_the_letters_of_what_was_said(first: str, second: str, form: str) -> None:
    raw = form.format(first, second)
    result = mended(raw)
    if result is not None:
        said = "".join(json.loads(result, object_pairs_hook=lambda pairs: "".join(k + str(v) for k, v in pairs)))
        assert [c for c in said if c.isalnum()] == [c for c in raw.replace("\\n", " ") if c.isalnum()]


@settings(deadline=None, max_examples=200)
@given(st.text(st.sampled_from("{}\"'`:, ab\n\\[]<think>/")))
def test_no_reply_makes_the_reader_stumble(raw: str) -> None:
    outcome = read(raw)
    assert isinstance(outcome, Rejection) or outcome[0].input


LONG = ["{a" + " " * 10**5, "```" + " " * 10**5 + ".", "{ " * 10**5, "{" + "a" * 10**5, "<think>" * 10**5, "{{" * 10**5]
LONG += ['{"input": ' + "1" * 5000 + ",}", '{"input": [' + "1" * 5000 + '], "output": "b",}']
LONG += ['{"input": "' + 'say "a", ' * 2 * 10**5 + '"}']


@pytest.mark.parametrize("raw", [*LONG, '{"a": ' * 20_000 + "}" * 20_000, '{"' + "a," * 100_000 + '"}', "{'" * 30_000])
def test_long_and_deep_replies_are_rejected(raw: str) -> None:
    assert isinstance(read(raw), Rejection)


def test_what_the_library_makes_of_an_object_must_stand_in_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = '{"input": "I won", "output": glad}'
    good = {"input": "I won", "output": "glad"}
    for made_up in (good | {"input": "I ran"}, good | {"output": "sad!"}, good | {"note": ""}, ["I won"]):
        monkeypatch.setattr("json_repair.loads", lambda *_, value=made_up, **__: value)
        assert mended(raw) is None
