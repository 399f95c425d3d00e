from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebase_db.check.copied_example import CopiedExample
from rebase_db.check.copied_source import CopiedSource
from rebase_db.check.label import Label
from rebase_db.check.leftovers import Leftovers
from rebase_db.check.length import Length
from rebase_db.check.make import example_checks
from rebase_db.check.missing_options import MissingOptions, is_multiple_choice, read_options
from rebase_db.check.verdict import Candidate, TaskFacts
from rebase_db.task.checks import (
    Check,
    Checks,
    CopiedExampleCheck,
    CopiedSourceCheck,
    LengthCheck,
)
from rebase_db.transform.data import CUT_MARK

if TYPE_CHECKING:
    from collections.abc import Mapping

REJECT = Check()
CHOICE = TaskFacts([("Which is red?\nOptions:\n(A) sky\n(B) blood", "(B)")], None)


def candidate(
    text: str = "in", output: str = "out", rationale: str | None = None, source: Mapping[str, str] | None = None
) -> Candidate:
    return Candidate(1, text, output, rationale, source or {})


@pytest.mark.parametrize(
    ("output", "failed"), [("neutral", False), (" Neutral ", False), ("not neutral", True), ("", True)]
)
def test_label(output: str, failed: bool) -> None:
    finding = Label(REJECT, ["Neutral", "Entailment"]).find(candidate(output=output))
    assert (finding.failed, finding.score) == (failed, float(failed))
    assert not failed or finding.evidence == {"output": output}


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("Find a film like Alien:Options:(A) Aliens(B) Up", "verbatim"),
        ("find a film like 'alien': Options: (A) Aliens (B) Up", "same words"),
        ("Find a film like Ali en:Options:(A) Aliens(B) Up", "same but for spaces"),
    ],
)
def test_copied_example(text: str, how: str) -> None:
    facts = TaskFacts([("Something else", "x"), ("Find a film like Alien:Options:(A) Aliens(B) Up", "(A)")], None)
    finding = CopiedExample(CopiedExampleCheck(), facts).find(candidate(text))
    assert finding.failed
    assert finding.score == 1.0
    assert finding.evidence["how"] == how
    assert finding.evidence["worked_example"] == 1


def test_a_text_of_the_same_triples_in_another_order_is_not_equal() -> None:
    facts = TaskFacts([("a b c a b d a b c", "x")], None)
    text = "a b d a b c a b c"
    assert not CopiedExample(CopiedExampleCheck(), facts).find(candidate(text)).failed


def test_copied_example_with_a_threshold() -> None:
    worked = " ".join(f"w{number}" for number in range(40))
    facts = TaskFacts([(worked, "x")], None)
    near = candidate(worked.replace("w39", "other"))
    assert not CopiedExample(CopiedExampleCheck(), facts).find(near).failed
    finding = CopiedExample(CopiedExampleCheck(similarity=0.9), facts).find(near)
    assert finding.failed
    assert finding.evidence["how"] == "similar"
    assert finding.score == pytest.approx(37 / 39)


def test_copied_source_names_the_column() -> None:
    check = CopiedSource(CopiedSourceCheck())
    source = {"title": "A walk", "text": "He went for a walk in the park, and came back late."}
    finding = check.find(candidate("he went for a walk in the park and came back late", source=source))
    assert finding.failed
    assert finding.evidence["column"] == "text"
    assert not check.find(candidate("She stayed at home all day long.", source=source)).failed
    assert not check.find(candidate("She stayed at home all day long.")).failed


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Which?Options:(A) red(B) blue(C) green", 3),
        ("Which?\nA) red\nB) blue", 2),
        ("Which?\nA. red\nB. blue", 2),
        ("Which? (1) red (2) blue", 2),
        ("Go?Options:- Yes- No", 2),
        ("Go? Options: Yes, No", 2),
        ("Go?\n- Yes\n- No", 2),
        ("どれ\uff1f\n\uff08A\uff09赤\n\uff08B\uff09青", 2),
        ("Which object(s) did (I) mean?", 0),
        ("Which?Options:", 0),
        ("Which?(A)(B)", 0),
        ("A single (A) mark", 1),
        ("Turn left. Take 3 steps - then stop.", 0),
    ],
)
def test_options(text: str, count: int) -> None:
    found = read_options(text).count
    assert found == count or (count < 2 and found < 2)


def test_missing_options() -> None:
    check = MissingOptions(REJECT)
    assert check.find(candidate("Which is red?")).evidence["options"] == 0
    assert not check.find(candidate("Which is red? (A) sky (B) blood", "(B)")).failed
    assert not check.find(candidate("Which is red? (A) sky (B) blood", "blood")).failed
    assert not check.find(candidate("How many? (A) 3 (B) 4", "4")).failed
    finding = check.find(candidate("Which is red? (A) sky (B) blood", "(D)."))
    assert finding.failed
    assert finding.evidence == {"options": ["A", "B"], "answer": "D"}


def test_a_task_is_multiple_choice_when_its_worked_examples_are() -> None:
    assert is_multiple_choice(CHOICE)
    assert not is_multiple_choice(TaskFacts([*CHOICE.examples, ("Sort: b a", "a b")], None))
    assert not is_multiple_choice(TaskFacts([], None))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("caf\\u00e9", "escaped_character"),
        ("first\\nSecond", "escaped_character"),
        ('she said \\"no\\"', "escaped_quote"),
        ("As an AI language model, I think", "assistant"),
        ("Sure, here is one", "assistant"),
        ("I'm sorry, but that is not possible", "assistant"),
        ("as in <source_row>", "prompt"),
        ("like the worked examples", "prompt"),
        (f"goes on{CUT_MARK}", "prompt"),
        ("Dear [insert name], hello", "placeholder"),
        ("Dear {{ name }}", "placeholder"),
        ("The story goes on and the pri...", "cut"),
        ("The story goes on… Hypothesis: It ends.", "cut"),
        ("```python\nprint(1)", "unbalanced_fence"),
    ],
)
def test_leftovers(text: str, kind: str) -> None:
    check = Leftovers(REJECT, TaskFacts([("plain", "x")], None))
    for field in ("text", "output", "rationale"):
        finding = check.find(candidate(**{field: text}))  # type: ignore[arg-type]
        assert kind in {one["kind"] for one in finding.evidence["found"]}
    shown = Leftovers(REJECT, TaskFacts([(text, "x")], None))
    assert shown.definition.parameters["not_looked_for"]
    assert not shown.find(candidate(text)).failed


@pytest.mark.parametrize(
    "text",
    [
        "Wait... what did he say?",
        "```python\nprint(1)\n```",
        "The gradient \\nabla f, an angle \\theta and a density \\rho",
        "The task: sort the notes.",
        "An AI company in Paris",
        "Here is the house where the version of the story began",
    ],
)
def test_no_leftovers(text: str) -> None:
    assert not Leftovers(REJECT, TaskFacts([], None)).find(candidate(text)).failed


def test_an_example_in_quotes() -> None:
    check = Leftovers(REJECT, TaskFacts([("plain", "x")], None))
    finding = check.find(candidate('"Is it so?"', '"It is so."'))
    assert [one["kind"] for one in finding.evidence["found"]] == ["quoted_whole"]
    assert not check.find(candidate('"Is it so?"', "It is so.")).failed


@pytest.mark.parametrize(
    ("bounds", "text", "output", "evidence"),
    [
        (LengthCheck(), "x" * 9, "o", {"field": "input", "characters": 9, "min": 10}),
        (LengthCheck(), "x" * 10, "o", None),
        (LengthCheck(), "x" * 2000, "o", None),
        (LengthCheck(), "x" * 2001, "o", {"field": "input", "characters": 2001, "max": 2000}),
        (LengthCheck(min_input=1, max_input=20), "x" * 21, "o", {"field": "input", "characters": 21, "max": 20}),
        (LengthCheck(max_output=3), "x" * 50, "oooo", {"field": "output", "characters": 4, "max": 3}),
        (LengthCheck(max_input=5), "x" * 5, "o", None),
        (LengthCheck(min_input=3000), "x" * 3000, "o", None),
    ],
)
def test_length(bounds: LengthCheck, text: str, output: str, evidence: dict[str, Any] | None) -> None:
    check = Length(bounds, TaskFacts([("e" * 100, "o"), ("e" * 200, "o")], None))
    finding = check.find(candidate(text, output))
    assert finding.failed == (evidence is not None)
    assert finding.evidence == (evidence or {})


def test_without_worked_examples_only_set_lengths_count() -> None:
    assert not Length(LengthCheck(), TaskFacts([], None)).find(candidate("x" * 10_000)).failed


def names(checks: Checks, facts: TaskFacts) -> list[str]:
    return [check.definition.name for check in example_checks(checks, facts)]


def test_checks_that_are_made() -> None:
    facts = TaskFacts(CHOICE.examples, ["(A)", "(B)"])
    everything = names(Checks(), facts)
    assert everything == [
        "label",
        "copied_example",
        "copied_source",
        "missing_options",
        "leftovers",
        "language",
        "length",
    ]
    assert names(Checks(), TaskFacts([("Sort: b a", "a b")], None)) == [
        "copied_example",
        "copied_source",
        "leftovers",
        "language",
        "length",
    ]
    for name in everything:
        assert name not in names(Checks.model_validate({name: {"action": "off"}}), facts)


def test_definitions_tell_settings_apart() -> None:
    facts = TaskFacts(CHOICE.examples, ["(A)", "(B)"])
    checks = example_checks(Checks(), facts)
    for check in checks:
        assert check.definition.parameters["version"] == 1
        assert json.loads(json.dumps(check.definition.parameters)) == check.definition.parameters
    assert len({check.definition.content_hash for check in checks}) == len(checks)
    warned = example_checks(Checks.model_validate({"label": {"action": "warn"}}), facts)
    assert warned[0].definition.content_hash != checks[0].definition.content_hash


@given(st.text(), st.text(), st.none() | st.text(), st.dictionaries(st.text(), st.text(), max_size=2))
@settings(deadline=None)
def test_no_text_breaks_a_check(text: str, output: str, rationale: str | None, source: dict[str, str]) -> None:
    facts = TaskFacts(CHOICE.examples, ["(A)", "(B)"])
    for check in example_checks(Checks(), facts):
        finding = check.find(Candidate(1, text, output, rationale, source))
        assert 0 <= finding.score <= 1
        assert len(json.dumps(finding.evidence, ensure_ascii=False)) < 10_000
