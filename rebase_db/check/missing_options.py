"""Multiple-choice inputs without their choices.

Options are letters or numbers that count up, "(A) … (B) …", "A) …" or "A. …", or bullets on lines of their own or
behind "Options:", or behind that word a list with commas. Each must have a text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db.check.define import define, excerpt
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from rebase_db.check.verdict import Candidate, CheckDefinition, TaskFacts
    from rebase_db.task.checks import Check

# This share of the worked examples must list options before the task counts as multiple choice.
_MOST = 0.75
_LEAST = 2
_MARKS = (
    re.compile(r"\(\s*([A-Za-z]|\d{1,2})\s*\)(?=\s*[^\s(])"),
    re.compile(r"(?:^|(?<=[\s:;,.?!\])]))([A-Za-z]|\d{1,2})[).:](?=\s*[^\s(])", re.MULTILINE),
)
_LINE_BULLET = re.compile(r"^\s*[-*•\u2013]\s*(\S[^\n]*)$", re.MULTILINE)
_HEADED = re.compile(r"\b(?:options|choices|answer choices)\s*:(.*)", re.IGNORECASE | re.DOTALL)
_INLINE_BULLET = re.compile(r"(?:^|(?<=[\s\w.,;?!]))[-*•\u2013]\s*(?=[^\s\d])")
_ANSWER = re.compile(r"^\W*(?:option\s+)?\(?([A-Za-z]|\d{1,2})\)?\W*$|\(([A-Z])\)\W*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Options:
    """How many options a text lists; their letters or numbers where they have any, in upper case."""

    count: int
    letters: frozenset[str] = frozenset()


def _counted_up(found: list[str]) -> frozenset[str]:
    # Only letters that begin with A and go on without a gap are a list; "(s)" and "(I)" in a sentence are not.
    here = {letter.upper() for letter in found}
    letters: set[str] = set()
    for series in ([chr(code) for code in range(ord("A"), ord("Z") + 1)], [str(number) for number in range(1, 100)]):
        run: set[str] = set()
        for mark in series:
            if mark not in here:
                break
            run.add(mark)
        letters = max(letters, run, key=len)
    return frozenset(letters)


def read_options(text: str) -> Options:
    """The options that `text` lists."""
    text = unicodedata.normalize("NFKC", text)
    letters = max((_counted_up(mark.findall(text)) for mark in _MARKS), key=len)
    if len(letters) >= _LEAST:
        return Options(len(letters), letters)
    count = len(_LINE_BULLET.findall(text))
    headed = _HEADED.search(text)
    if headed is not None:
        rest = headed[1]
        pieces = [piece for piece in re.split(r",|;|\n|\bor\b", rest) if piece.strip(" -.()")]
        count = max(count, len(_INLINE_BULLET.findall(rest)), len(pieces))
    return Options(count)


class MissingOptions:
    """The input lists no options, or the answer is a letter that is not among them."""

    def __init__(self, settings: Check) -> None:
        self.definition: CheckDefinition = define("missing_options", 1, settings)

    def find(self, candidate: Candidate) -> Finding:
        """Score 1 for a failure; evidence: how many options there are, and the letter that is not there."""
        options = read_options(candidate.input)
        if options.count < _LEAST:
            evidence = {"options": options.count, "end_of_input": excerpt(candidate.input, len(candidate.input) - 60)}
            return Finding(failed=True, score=1.0, evidence=evidence)
        answer = _ANSWER.search(unicodedata.normalize("NFKC", candidate.output).strip())
        if options.letters and answer is not None:
            letter = (answer[1] or answer[2]).upper()
            # A bare number may be the answer itself among lettered options.
            if letter not in options.letters and letter.isdigit() == next(iter(options.letters)).isdigit():
                evidence = {"options": sorted(options.letters), "answer": letter}
                return Finding(failed=True, score=1.0, evidence=evidence)
        return Finding(failed=False, score=0.0)


def is_multiple_choice(facts: TaskFacts) -> bool:
    """Whether at least three in four of the worked examples list options."""
    listing = sum(read_options(text).count >= _LEAST for text, _ in facts.examples)
    return bool(facts.examples) and listing >= _MOST * len(facts.examples)
