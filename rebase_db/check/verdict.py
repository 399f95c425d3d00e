"""What a check is, what it is told, and what it says: a score, a verdict and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from rebase_db.hashing import content_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Verdict(StrEnum):
    """`warn` is a failed check whose action is to say so and keep the example."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class CheckDefinition:
    """A check as it was applied; `parameters` are plain JSON and hold its version, its thresholds and its action."""

    name: str
    parameters: Mapping[str, Any]

    @cached_property
    def content_hash(self) -> bytes:
        """32 bytes over name and parameters (tag `check/v1`)."""
        return content_hash("check/v1", {"name": self.name, "parameters": dict(self.parameters)})


@dataclass(frozen=True, slots=True)
class Candidate:
    """An example, and the row it was made from; `source` in the row's own order, without nulls."""

    example_id: int
    input: str
    output: str
    rationale: str | None
    source: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found of one example.

    Attributes:
        failed: Whether it is beyond the threshold.
        score: What is compared with the threshold; of checks without one 1.0 means failed.
        evidence: Plain JSON: what was seen, short enough to be read, so that nobody has to believe the verdict.
        other_example_id: The example it repeats, of checks that compare examples.
    """

    failed: bool
    score: float
    evidence: Mapping[str, Any] = field(default_factory=dict)
    other_example_id: int | None = None


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What checks know of the task: `examples` are (input, bare output) of all the worked examples the teacher saw."""

    examples: Sequence[tuple[str, str]]
    labels: Sequence[str] | None


class ExampleCheck(Protocol):
    """A check that needs no other example: made once a task, applied to each example."""

    @property
    def definition(self) -> CheckDefinition: ...  # noqa: D102 - see its class

    def find(self, candidate: Candidate) -> Finding:
        """What it says of one example."""
        ...
