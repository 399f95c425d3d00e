from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.check.define import define
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from rebase_db.check.verdict import Candidate, CheckDefinition, TaskFacts
    from rebase_db.task.checks import LengthCheck

_TIMES = 10


class Length:
    """Input or output is shorter or longer, in characters, than it may be."""

    def __init__(self, settings: LengthCheck, facts: TaskFacts) -> None:
        lengths = [len(text) for text, _ in facts.examples]
        least, most = settings.min_input, settings.max_input
        # Bounds that are not set give way to the one that is: together they must leave room.
        if least is None and lengths:
            least = max(1, min(lengths) // _TIMES) if most is None else min(most, max(1, min(lengths) // _TIMES))
        if most is None and lengths:
            most = max(lengths) * _TIMES if least is None else max(least, max(lengths) * _TIMES)
        self._bounds = {"input": (least, most), "output": (None, settings.max_output)}
        self.definition: CheckDefinition = define("length", 1, settings, min_input=least, max_input=most)

    def find(self, candidate: Candidate) -> Finding:
        """Score 1 for a failure; evidence: of which text, its length and the bound it breaks."""
        for name, (least, most) in self._bounds.items():
            length = len(getattr(candidate, name))
            if least is not None and length < least:
                return Finding(failed=True, score=1.0, evidence={"field": name, "characters": length, "min": least})
            if most is not None and length > most:
                return Finding(failed=True, score=1.0, evidence={"field": name, "characters": length, "max": most})
        return Finding(failed=False, score=0.0)
