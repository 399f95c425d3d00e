"""Examples that repeat each other word for word.

An example fails when a better-ranked one of its task has the same input. That holds of a pair whatever becomes of
either in another check, so verdicts do not depend on the order in which examples arrive. Only pairs with a new member
are looked at, here and in `near_duplicates`: called on each batch, they find what one call on all would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db.check.define import excerpt
from rebase_db.check.normal import repeat_key
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Ranked:
    """An example in its task's order: lower `rank` is better; of equal ones the lower id."""

    example_id: int
    rank: float
    input: str
    output: str

    @property
    def place(self) -> tuple[float, int]:
        """What examples are ordered by."""
        return self.rank, self.example_id


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An example of another task; `key` is `repeat_key` of its input."""

    task: str
    example_id: int
    key: str


def _closeness(example: Ranked, other: Ranked) -> tuple[str, bool]:
    same_output = example.output.strip() == other.output.strip()
    return ("verbatim" if example.input == other.input else "same but for case, punctuation and spaces"), same_output


def _repeat(example: Ranked, better: Sequence[Ranked]) -> Finding:
    # The closest is named, not the best: "input and output verbatim" says more than "same words".
    def distance(other: Ranked) -> tuple[bool, bool, tuple[float, int]]:
        how, same_output = _closeness(example, other)
        return how != "verbatim", not same_output, other.place

    other = min(better, key=distance)
    how, same_output = _closeness(example, other)
    evidence = {"how": how, "same_output": same_output, "text": excerpt(other.input)}
    return Finding(failed=True, score=1.0, evidence=evidence, other_example_id=other.example_id)


def find_duplicates(examples: Iterable[Ranked]) -> dict[int, Finding]:
    """Exact repeats of an input, case, punctuation and spaces aside; evidence says if the output is the same too.

    Returns:
        A finding for each example, by its id; of equal ones the best ranked passes.
    """
    groups: dict[str, list[Ranked]] = {}
    for example in sorted(examples, key=lambda one: one.place):
        groups.setdefault(repeat_key(example.input), []).append(example)
    findings: dict[int, Finding] = {}
    for group in groups.values():
        by_text: dict[str, list[Ranked]] = {}
        for example in group:
            if example is group[0]:
                findings[example.example_id] = Finding(failed=False, score=0.0)
            else:
                # Verbatim ones are enough where there are any: large groups stay linear.
                findings[example.example_id] = _repeat(example, by_text.get(example.input) or group[:1])
            same = by_text.setdefault(example.input, [])
            if all(other.output.strip() != example.output.strip() for other in same):
                same.append(example)
    return findings


def find_elsewhere(new: Iterable[Ranked], others: Iterable[Elsewhere]) -> dict[int, Finding]:
    """Exact repeats of an input among the examples of other tasks, case, punctuation and spaces aside.

    Returns:
        A finding for each of `new`, by example id; the other named is the first in `others`.
    """
    first: dict[str, Elsewhere] = {}
    for other in others:
        first.setdefault(other.key, other)
    findings: dict[int, Finding] = {}
    for example in new:
        found = first.get(repeat_key(example.input))
        if found is None:
            findings[example.example_id] = Finding(failed=False, score=0.0)
            continue
        evidence = {"task": found.task, "text": excerpt(example.input)}
        findings[example.example_id] = Finding(
            failed=True, score=1.0, evidence=evidence, other_example_id=found.example_id
        )
    return findings
