from __future__ import annotations

import pytest

from rebase_db.check.language import Language, example_languages
from rebase_db.check.verdict import Candidate, Finding, TaskFacts
from rebase_db.task.checks import LanguageCheck

ENGLISH = "The weather was fine yesterday, so we went for a long walk along the river."
GERMAN = "Das Wetter war gestern schön, deshalb sind wir lange am Fluss spazieren gegangen."
JAPANESE = (
    "昨日は天気がよかったので、川に沿って長い散歩に出かけました。とても楽しかったです。またぜひ行きたいと思っています。"
)
FACTS = TaskFacts([(ENGLISH, "x")], None)


def find(
    text: str, rationale: str | None = None, settings: LanguageCheck | None = None, facts: TaskFacts = FACTS
) -> Finding:
    return Language(settings or LanguageCheck(), facts).find(Candidate(1, text, "x", rationale, {}))


@pytest.mark.parametrize(("text", "code"), [(GERMAN, "de"), (JAPANESE, "ja")])
def test_another_language(text: str, code: str) -> None:
    finding = find(text)
    assert finding.failed
    assert finding.score >= 0.9
    assert next(iter(finding.evidence["languages"])) == code
    assert finding.evidence["field"] == "input"


def test_the_same_language() -> None:
    finding = find(ENGLISH)
    assert not finding.failed
    assert finding.evidence == {}


def test_the_rationale_is_read_too() -> None:
    assert find(ENGLISH, GERMAN).evidence["field"] == "rationale"


def test_languages_that_are_set_replace_those_of_the_examples() -> None:
    settings = LanguageCheck(languages=("de", "ja"))
    assert not find(GERMAN, JAPANESE, settings).failed
    assert find(ENGLISH, None, settings).failed


@pytest.mark.parametrize("text", ["Guten Tag", "M 31.00,73.00 L 32.00,59.00 L 44.00,50.00 L 49.00,41.00 L 64.00,37.00"])
def test_what_nobody_can_tell_is_not_judged(text: str) -> None:
    finding = find(text)
    assert not finding.failed
    assert finding.evidence == {"not_judged": {"input": "too short, or not prose"}}


def test_code_is_in_no_language_with_confidence() -> None:
    assert not find("def even(values): return [value for value in values if value % 2 == 0]").failed


def test_without_a_language_of_the_examples_nothing_is_judged() -> None:
    finding = find(GERMAN, None, None, TaskFacts([("1 + 2 =", "3")], None))
    assert not finding.failed
    assert "no language" in finding.evidence["not_judged"]["input"]


def test_languages_of_examples() -> None:
    assert example_languages([ENGLISH, GERMAN], 40) == ("de", "en")
    assert example_languages(["Where is the", "nearest railway", "station in town?"], 40) == ("en",)
    assert example_languages([], 40) == ()
