"""How another ranking of a task differs from the present one: rows, what is there of them, and the sets they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Side:
    """A ranking, and the set that would be frozen from it.

    Attributes:
        top_n: How many rows it was asked for.
        scoring: How part scores are combined.
        weights: Of input, output and dataset score; None where they are the same.
        mirrors: What becomes of rows with equal content.
        max_share: The largest share of `top_n` that a dataset may have; None where there is no limit.
        excluded: Datasets that are left out, by name.
        rows: How many it has.
        cutoff_score: The last one's score; None where there is no row.
        examples: How many would be frozen.
        labels: Of these, by label; None where the task has no labels.
        kept_out: Examples that are not among them, by the check that keeps them out.
        unsaid: Examples that a check by a model has said nothing of yet, by check.
    """

    top_n: int
    scoring: str
    weights: tuple[float, float, float] | None
    mirrors: str
    max_share: float | None
    excluded: Sequence[str]
    rows: int
    cutoff_score: float | None
    examples: int
    labels: Mapping[str, int] | None
    kept_out: Mapping[str, int]
    unsaid: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Entrants:
    """What is there of the rows that would enter.

    Attributes:
        accepted: Rows with an example that would be accepted.
        kept_out: Rows with an example that a check would keep out.
        rejected: Rows whose answer made no example; they are not asked for again.
        failed: Rows whose calls failed for good, or were cancelled.
        to_ask: Rows that a teacher would have to be asked for.
        prompt_tokens: What asking for these would take, from the mean of the task's calls so far; None if unknown.
        completion_tokens: The same of answers.
        cost: The same in money.
    """

    accepted: int
    kept_out: int
    rejected: int
    failed: int
    to_ask: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Part:
    """Of a dataset or a licence: its rows before and after, and what that comes of."""

    name: str
    before: int
    after: int
    entering: int
    leaving: int


@dataclass(frozen=True, slots=True)
class Moved:
    """A row that would enter or leave; `rank` is None if it leaves, `present_rank` if it enters."""

    dataset: str
    config: str
    split: str
    source_index: int
    rank: int | None
    present_rank: int | None
    score: float
    dataset_id: int
    row_id: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two rankings.

    Attributes:
        task: The task.
        version: Its version.
        present: What there is.
        then: What there would be.
        staying: Rows of both rankings.
        entering: Rows of the other ranking only.
        leaving: Rows of the present ranking only.
        entrants: What is there of those that enter.
        datasets: By dataset, those that change most first.
        licences: By licence as stated.
        unscored: Rows that came after the last retrieval; nobody knows yet where they would stand.
        rows: Those that enter, best first, then those that leave.
    """

    task: str
    version: int
    present: Side
    then: Side
    staying: int
    entering: int
    leaving: int
    entrants: Entrants
    datasets: Sequence[Part]
    licences: Sequence[Part]
    unscored: int
    rows: Sequence[Moved]
