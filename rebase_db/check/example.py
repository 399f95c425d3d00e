"""The checks of one task that are made of each example as it comes, and whether they keep it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db.check.make import example_checks
from rebase_db.check.verdict import Candidate, CheckDefinition, Finding, TaskFacts, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.task.file import TaskFile


@dataclass(frozen=True, slots=True)
class Result:
    """What one check says of one example; `judgement_id` is the call of a judge it rests on."""

    check: CheckDefinition
    verdict: Verdict
    finding: Finding
    judgement_id: int | None = None


def verdict_of(check: CheckDefinition, finding: Finding) -> Verdict:
    """What a finding means under the check's action."""
    if not finding.failed:
        return Verdict.PASS
    return Verdict.FAIL if check.parameters["action"] == "reject" else Verdict.WARN


def facts_of(file: TaskFile) -> TaskFacts:
    """What checks know of a task."""
    return TaskFacts([(example.input, file.answer_of(example)) for example in file.examples], file.labels)


class ExampleChecker:
    """The example checks of a task file."""

    def __init__(self, file: TaskFile) -> None:
        self._checks = example_checks(file.checks, facts_of(file))

    @property
    def definitions(self) -> list[CheckDefinition]:
        """What is checked."""
        return [check.definition for check in self._checks]

    def check(self, candidate: Candidate, names: Sequence[str] | None = None) -> list[Result]:
        """What every check (or those named) says of an example."""
        results = []
        for check in self._checks:
            definition = check.definition
            if names is None or definition.name in names:
                finding = check.find(candidate)
                results.append(Result(definition, verdict_of(definition, finding), finding))
        return results


def first_failure(results: Sequence[Result]) -> str | None:
    """The name of the first check that keeps the example out."""
    return next((result.check.name for result in results if result.verdict is Verdict.FAIL), None)
