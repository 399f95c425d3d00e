"""One pass over the examples of a task: what is known of each, and what is found out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rebase_db.check.current import NewestResult
from rebase_db.check.example import Result, verdict_of

if TYPE_CHECKING:
    from rebase_db.check.current import CurrentExample
    from rebase_db.check.verdict import CheckDefinition, Finding
    from rebase_db.queue import Lane
    from rebase_db.task.file import TaskFile

COMPARING = frozenset({"duplicate", "near_duplicate"})
"""Checks in which one example decides about another."""


@dataclass(slots=True)
class Pass:
    """The examples of a lane as they were when it began.

    Attributes:
        file: What is checked.
        lane: Whose examples.
        examples: Best ranked first.
        newest: What checks said last, in this pass too, by example and name.
        definitions: The checks that count, by name: those this pass has come to.
        results: What it found and is not written yet, by example.
    """

    file: TaskFile
    lane: Lane
    examples: list[CurrentExample]
    newest: dict[int, dict[str, NewestResult]]
    definitions: dict[str, CheckDefinition] = field(default_factory=dict)
    results: dict[int, list[Result]] = field(default_factory=lambda: defaultdict(list))

    def without(self, definition: CheckDefinition) -> list[CurrentExample]:
        """The examples that have no result under a definition, which from now on counts."""
        self.definitions[definition.name] = definition
        name, content_hash = definition.name, definition.content_hash
        return [
            each
            for each in self.examples
            if (newest := self.newest[each.example_id].get(name)) is None or newest.content_hash != content_hash
        ]

    def fails(self, example: CurrentExample, besides: frozenset[str] = frozenset()) -> bool:
        """Whether a check that counts keeps an example out, other than those named."""
        found = self.newest[example.example_id]
        return any(found[name].verdict == "fail" for name in self.definitions.keys() - besides if name in found)

    def add(
        self,
        definition: CheckDefinition,
        example_id: int,
        finding: Finding,
        judgement_id: int | None = None,
        *,
        written: bool = False,
    ) -> None:
        """Keep what was found, unless it is what was known; it may be `written` already."""
        result = Result(definition, verdict_of(definition, finding), finding, judgement_id)
        newest = NewestResult(definition.content_hash, result.verdict.value, finding.other_example_id)
        if self.newest[example_id].get(definition.name) != newest:
            self.newest[example_id][definition.name] = newest
            if not written:
                self.results[example_id].append(result)
