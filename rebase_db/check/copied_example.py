from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.check.define import define, excerpt
from rebase_db.check.normal import jaccard, joined, plain_words, shingles
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from rebase_db.check.verdict import Candidate, CheckDefinition, TaskFacts
    from rebase_db.task.checks import CopiedExampleCheck


class CopiedExample:
    """The input is that of a worked example of the prompt.

    Signs do not count either: a sum that is the worked one but for a lost minus was copied, not found in the row.
    """

    def __init__(self, settings: CopiedExampleCheck, facts: TaskFacts) -> None:
        self.definition: CheckDefinition = define("copied_example", 1, settings)
        self._threshold = settings.similarity
        self._inputs = [text for text, _ in facts.examples]
        self._words = [plain_words(text) for text in self._inputs]
        self._joined = [joined(parts) for parts in self._words]
        self._shingles = [shingles(parts) for parts in self._words]

    def find(self, candidate: Candidate) -> Finding:
        """Score: the likeness to the nearest worked example, 1 when equal; evidence: which (from 0), and how equal."""
        parts = plain_words(candidate.input)
        text, grams = joined(parts), shingles(parts)
        best, nearest, how = 0.0, -1, ""
        for place, worked in enumerate(self._inputs):
            if candidate.input.strip() == worked.strip():
                best, nearest, how = 1.0, place, "verbatim"
                break
            if text and text == self._joined[place]:
                score, same = 1.0, "same words" if parts == self._words[place] else "same but for spaces"
            else:
                # Reordered repeats can share all their triples; equal they are not.
                score, same = min(jaccard(grams, self._shingles[place]), 0.999), "similar"
            if score > best:
                best, nearest, how = score, place, same
        if best < self._threshold:
            return Finding(failed=False, score=best)
        evidence = {"worked_example": nearest, "how": how, "text": excerpt(self._inputs[nearest])}
        return Finding(failed=True, score=best, evidence=evidence)
