"""What a careless teacher leaves in an example: escapes, fences, pieces of the prompt, words about itself, cuts.

A kind that the task's own worked examples show is form there, not a leftover, and is not looked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rebase_db.check.define import define, excerpt
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rebase_db.check.verdict import Candidate, CheckDefinition, TaskFacts
    from rebase_db.task.checks import Check

_KINDS = {
    # Not \nabla, \theta or \rho: a letter pair behind it makes it a command of LaTeX.
    "escaped_character": re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[nrt](?![a-z]{2})"),
    "escaped_quote": re.compile(r"\\[\"']"),
    "assistant": re.compile(
        r"\bas an? (?:AI\b|artificial intelligence|(?:large )?language model)"
        r"|\bI(?:'m| am) (?:just )?an? (?:AI\b|language model)"
        r"|^\W*(?:I(?:'m| am) sorry, but|I apologi[sz]e, but)"
        r"|^\W*I can(?:not|'t) (?:assist|help|fulfil|provide|generate|create)\b"
        r"|^\W*(?:sure|certainly|of course)[,!]? (?:here|I)\b"
        r"|^\W*here (?:is|are|'s) (?:an?|the|your) (?:\w+ ){0,2}(?:example|input|output|version|rewritten)\b",
        re.IGNORECASE,
    ),
    "prompt": re.compile(
        r"</?(?:source_row|examples|task|notes|candidate)>|\bsource[ _]row\b|\bworked examples?\b|<cut\s*/>"
        r"|\b(?:few-shot|in-context) examples?\b|^\W*\{\s*\"input\"\s*:",
        re.IGNORECASE,
    ),
    "placeholder": re.compile(
        r"\[(?:insert|your|fill in|placeholder|name of|add|enter)\b[^\]\n]{0,80}\]"
        r"|<(?:insert|your|placeholder)\b[^>\n]{0,80}>"
        r"|\{\{|\}\}|\blorem ipsum\b",
        re.IGNORECASE,
    ),
    # At the end, and before the next part of an input ("Hypothesis:", "Options:").
    "cut": re.compile(r"(?:\.\.\.|…)[\"'\u201d\u2019»)\]]*\s*(?=\Z|[A-Z]\w+:)"),
}
_FENCE = re.compile(r"```")
# Shorter than this with its two quotes, a text may well be a quotation.
_QUOTED = 3


def leftovers(text: str) -> Iterator[tuple[str, int, int]]:
    """Each kind found in `text`, once, with the place of its first."""
    for kind, pattern in _KINDS.items():
        found = pattern.search(text)
        if found is not None:
            yield kind, found.start(), found.end()
    fences = list(_FENCE.finditer(text))
    if len(fences) % 2:
        yield "unbalanced_fence", fences[-1].start(), fences[-1].end()


def quoted_whole(first: str, second: str) -> bool:
    """Whether both texts stand in straight quotes: strings of JSON or Python taken over with their marks."""
    texts = (first.strip(), second.strip())
    return all(len(text) >= _QUOTED and text[0] == text[-1] == '"' for text in texts)


class Leftovers:
    """Input, output or rationale hold what belongs to the making of the example and not to the example."""

    def __init__(self, settings: Check, facts: TaskFacts) -> None:
        shown = {kind for example in facts.examples for text in example for kind, _, _ in leftovers(text)}
        if any(quoted_whole(*example) for example in facts.examples):
            shown.add("quoted_whole")
        self._shown = frozenset(shown)
        self.definition: CheckDefinition = define("leftovers", 1, settings, not_looked_for=sorted(shown))

    def find(self, candidate: Candidate) -> Finding:
        """Score 1 for a failure; evidence: each kind, in which field, and the text around it."""
        texts = {"input": candidate.input, "output": candidate.output, "rationale": candidate.rationale or ""}
        found = [
            {"kind": kind, "field": name, "text": excerpt(text, start, end)}
            for name, text in texts.items()
            for kind, start, end in leftovers(text)
            if kind not in self._shown
        ]
        if "quoted_whole" not in self._shown and quoted_whole(candidate.input, candidate.rationale or candidate.output):
            found.append({"kind": "quoted_whole", "field": "input", "text": excerpt(candidate.input, 0, 0)})
        if not found:
            return Finding(failed=False, score=0.0)
        return Finding(failed=True, score=1.0, evidence={"found": found})
