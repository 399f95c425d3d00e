from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.check.define import define, excerpt
from rebase_db.check.verdict import Finding
from rebase_db.task.labels import match_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.check.verdict import Candidate, CheckDefinition
    from rebase_db.task.checks import Check


class Label:
    """The output is none of the task's labels, in any spelling of upper and lower case."""

    def __init__(self, settings: Check, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self.definition: CheckDefinition = define("label", 1, settings, labels=list(labels))

    def find(self, candidate: Candidate) -> Finding:
        """Score 1 for a failure; what the output is instead."""
        if match_label(candidate.output, self._labels) is not None:
            return Finding(failed=False, score=0.0)
        return Finding(failed=True, score=1.0, evidence={"output": excerpt(candidate.output)})
