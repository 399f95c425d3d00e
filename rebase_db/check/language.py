"""Texts in another language than the task's.

The language model is py3langid's: 140 languages in 4.5 MB that come with the package, a third of a millisecond a text.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from rebase_db.check.define import define, excerpt
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.check.verdict import Candidate, CheckDefinition, TaskFacts
    from rebase_db.task.checks import LanguageCheck

_CHARACTERS = 2_000  # more changes no verdict
# Neighbours (Croatian and Bosnian, Danish and Norwegian) share the probability of one text; with more than three the
# rest is not doubt between languages but text in none, such as code.
_NAMES = 3
_NO_LANGUAGE = "zxx"
# From here on a worked example is taken to be in its likeliest language.
_LIKELY = 0.5


@cache
def _identifier() -> Any:
    from py3langid.langid import LanguageIdentifier

    return LanguageIdentifier.from_model_file("data/model.npz.xz", norm_probs=True)


def likely_languages(text: str) -> dict[str, float]:
    """Probabilities of languages (ISO 639-1 codes), the likeliest first; they add up to 1."""
    return dict(_identifier().rank(" ".join(text.split())[:_CHARACTERS]))


def _letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def example_languages(inputs: Sequence[str], min_characters: int) -> tuple[str, ...]:
    """The languages of worked examples; none where they are too short, or too far from prose, to say."""
    # Short ones are judged together.
    for texts in (inputs, ["\n".join(inputs)]):
        judged = [likely_languages(text) for text in texts if _judged(text, min_characters)]
        found = {code for likely in judged for code, share in likely.items() if share >= _LIKELY}
        if found - {_NO_LANGUAGE}:
            return tuple(sorted(found - {_NO_LANGUAGE}))
    return ()


def _judged(text: str, min_characters: int) -> bool:
    # Sums, paths and code are in no language: half of what is written must be letters.
    visible = sum(not character.isspace() for character in text)
    return len(text.strip()) >= min_characters and 2 * _letters(text) > visible


class Language:
    """Input or rationale is, with confidence, in none of the languages asked for."""

    def __init__(self, settings: LanguageCheck, facts: TaskFacts) -> None:
        inputs = [text for text, _ in facts.examples]
        self._languages = settings.languages or example_languages(inputs, settings.min_characters)
        self._settings = settings
        self.definition: CheckDefinition = define("language", 1, settings, languages=list(self._languages))

    def find(self, candidate: Candidate) -> Finding:
        """Score: the probability of the three likeliest other languages together; evidence: which, and of which text.

        Evidence of a pass says which texts were not judged, and why.
        """
        worst = Finding(failed=False, score=0.0)
        not_judged: dict[str, str] = {}
        for name, text in (("input", candidate.input), ("rationale", candidate.rationale)):
            if text is None:
                continue
            if not self._languages:
                not_judged[name] = "the worked examples have no language that can be told"
            elif not _judged(text, self._settings.min_characters):
                not_judged[name] = "too short, or not prose"
            else:
                others = self._others(text)
                score = min(1.0, sum(others.values()))
                failed = score >= self._settings.confidence
                if score > worst.score:
                    top = {code: round(share, 3) for code, share in others.items() if round(share, 3)}
                    evidence = {"field": name, "languages": top, "text": excerpt(text)}
                    worst = Finding(failed, score, evidence if failed else {})
        if worst.failed or not not_judged:
            return worst
        return Finding(failed=False, score=worst.score, evidence={"not_judged": not_judged})

    def _others(self, text: str) -> dict[str, float]:
        known = {*self._languages, _NO_LANGUAGE}
        others = {code: share for code, share in likely_languages(text).items() if code not in known}
        return dict(list(others.items())[:_NAMES])
