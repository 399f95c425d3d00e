from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.check.define import define, excerpt
from rebase_db.check.normal import jaccard, key_of, shingles, words
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from rebase_db.check.verdict import Candidate, CheckDefinition
    from rebase_db.task.checks import CopiedSourceCheck


class CopiedSource:
    """The input is a cell of the row it was to be made from, hardly changed."""

    def __init__(self, settings: CopiedSourceCheck) -> None:
        self.definition: CheckDefinition = define("copied_source", 1, settings)
        self._threshold = settings.similarity

    def find(self, candidate: Candidate) -> Finding:
        """Score: the likeness to the nearest cell, 1 when equal; evidence: its column."""
        parts = words(candidate.input)
        key, grams = key_of(parts, candidate.input), shingles(parts)
        best, column, how = 0.0, "", ""
        for name, cell in candidate.source.items():
            if candidate.input.strip() == cell.strip():
                best, column, how = 1.0, name, "verbatim"
                break
            cell_parts = words(cell)
            if key and key == key_of(cell_parts, cell):
                score, same = 1.0, "same but for case, punctuation and spaces"
            else:
                score, same = min(jaccard(grams, shingles(cell_parts)), 0.999), "similar"
            if score > best:
                best, column, how = score, name, same
        if best < self._threshold:
            return Finding(failed=False, score=best)
        evidence = {"column": column, "how": how, "text": excerpt(candidate.source[column])}
        return Finding(failed=True, score=best, evidence=evidence)
