"""A history in plain Python: who was made from whom, and walks from either end.

Rows are named by `(dataset_id, row_id)`, all else by its number in the database. It holds what was done and what came
of it; nothing in here asks the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = tuple[int, int]


@dataclass
class Dataset:
    """A dataset: its licence, what its source has now, and what of that is here."""

    name: str
    licence: str
    source: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    erased_texts: set[str] = field(default_factory=set)


@dataclass
class Link:
    """A row retrieved for a task version; `example` is that of its last attempt."""

    version: int
    row: Row
    rank: int
    state: str = "retrieved"
    present: bool = True
    example: int | None = None


@dataclass(frozen=True)
class Set:
    """A frozen set: its members in order."""

    name: str
    version: int
    members: tuple[int, ...]
    successor_of: int | None = None


@dataclass
class Run:
    """A training run on a set."""

    training_set: int
    state: str = "waiting"


@dataclass
class Retraction:
    """What was withdrawn: rows, and datasets with all that might come into them."""

    kind: str
    target: str
    mirrors: bool
    datasets: frozenset[int]
    rows: frozenset[Row]
    standing: bool = True
    erased: bool = False


@dataclass
class Graph:
    """All of it."""

    datasets: dict[int, Dataset] = field(default_factory=dict)
    texts: dict[Row, str] = field(default_factory=dict)
    place: dict[Row, int] = field(default_factory=dict)
    """Each row's place at its source, from 0."""
    versions: list[int] = field(default_factory=list)
    ranked: list[int] = field(default_factory=list)
    """The versions that were retrieved for."""
    links: dict[int, Link] = field(default_factory=dict)
    made_for: dict[int, int] = field(default_factory=dict)
    """The link of each example."""
    answered_for: dict[int, int] = field(default_factory=dict)
    """The link whose answer was used again for an example, where one was."""
    words: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Input and output of each example, also of erased ones."""
    parents: dict[int, set[int]] = field(default_factory=dict)
    erased_examples: set[int] = field(default_factory=set)
    erased_rows: set[Row] = field(default_factory=set)
    sets: dict[int, Set] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    retractions: dict[int, Retraction] = field(default_factory=dict)

    def row_of(self, example: int) -> Row:
        """The row an example was made from."""
        return self.links[self.made_for[example]].row

    def above(self, example: int) -> dict[int, int]:
        """The example and all it was made from, with the steps of the shortest way."""
        return _reach(example, self.parents)

    def below(self, example: int) -> dict[int, int]:
        """The example and all that was made from it, with the steps of the shortest way."""
        children: dict[int, set[int]] = {}
        for child, parents in self.parents.items():
            for parent in parents:
                children.setdefault(parent, set()).add(child)
        return _reach(example, children)

    def sources(self, example: int) -> set[tuple[int, int, Row]]:
        """What an example rests on: the example on the way, the steps to it, and its row."""
        return {(via, steps, self.row_of(via)) for via, steps in self.above(example).items()}

    def reached(self, rows: Iterable[Row]) -> set[tuple[Row, int, int, int]]:
        """What rows reached: the row, the example made from it, an example made from that, and the steps between."""
        wanted = set(rows)
        return {
            (self.row_of(via), via, example, steps)
            for via in self.made_for
            if self.row_of(via) in wanted
            for example, steps in self.below(via).items()
        }

    def examples_of(self, rows: Iterable[Row]) -> set[int]:
        """The examples that rest on rows, on whatever way."""
        return {example for _, _, example, _ in self.reached(rows)}

    def sets_with(self, examples: set[int]) -> dict[int, int]:
        """The sets with such examples, and how many of them."""
        counts = {number: len(examples & set(one.members)) for number, one in self.sets.items()}
        return {number: count for number, count in counts.items() if count}

    def runs_on(self, sets: Iterable[int]) -> set[int]:
        """The runs on sets."""
        wanted = set(sets)
        return {number for number, run in self.runs.items() if run.training_set in wanted}

    def rows_of(self, dataset: int) -> set[Row]:
        """The rows of a dataset."""
        return set(self.datasets[dataset].rows)

    def is_retracted(self, row: Row) -> bool:
        """Whether a retraction that stands covers a row."""
        return any(each.standing and row in each.rows for each in self.retractions.values())

    def is_withdrawn(self, example: int) -> bool:
        """Whether an example rests on a retracted row."""
        return any(self.is_retracted(self.row_of(via)) for via in self.above(example))

    def live_rows(self) -> set[Row]:
        """The rows that compete in retrieval."""
        return {row for row in self.texts if not self.is_retracted(row)}

    def may_enter(self, version: int) -> list[int]:
        """The examples that a new set of a task version has, best ranked first."""
        accepted = [
            (link.rank, link.example)
            for link in self.links.values()
            if link.version == version and link.present and link.state in {"transformed", "distilled"}
        ]
        return [example for _, example in sorted(accepted) if example is not None and not self.is_withdrawn(example)]

    def contents(self, examples: Iterable[int]) -> list[tuple[str, str]]:
        """What examples say, in order."""
        return [self.words[each] for each in examples]

    def cover(self, kind: str, target: str, *, mirrors: bool) -> tuple[frozenset[int], frozenset[Row]]:
        """The datasets that are withdrawn whole, and the rows that are covered, as of now."""
        datasets: set[int] = set()
        if kind == "dataset":
            datasets = {number for number, each in self.datasets.items() if each.name == target}
        elif kind == "licence":
            datasets = {number for number, each in self.datasets.items() if (each.licence or "unknown") == target}
        rows = {row for number in datasets for row in self.rows_of(number)}
        if kind == "row":
            rows = {row for row in self.texts if self.name(row) == target}
        elif kind == "text":
            rows = {row for row, text in self.texts.items() if text == target}
        if mirrors:
            rows |= {row for row in self.texts if self.texts[row] in {self.texts[each] for each in rows}}
        return frozenset(datasets), frozenset(rows)

    def name(self, row: Row) -> str:
        """A row as commands call it."""
        dataset = self.datasets[row[0]]
        return f"{dataset.name}:default/train:{self.place[row]}"

    def erase(self, number: int) -> None:
        """Take the words of what a retraction covers."""
        retraction = self.retractions[number]
        retraction.erased = True
        for dataset_id, dataset in self.datasets.items():
            stay = {
                self.texts[row] for row in dataset.rows if row not in retraction.rows and row not in self.erased_rows
            }
            gone = {self.texts[row] for row in retraction.rows if row[0] == dataset_id}
            dataset.erased_texts |= gone - stay
        self.erased_rows |= retraction.rows
        self.erased_examples |= self.examples_of(retraction.rows)


def _reach(start: int, edges: dict[int, set[int]]) -> dict[int, int]:
    steps = {start: 0}
    waiting = [start]
    for each in waiting:  # breadth first: the first way found is a shortest
        for further in edges.get(each, ()):
            if further not in steps:
                steps[further] = steps[each] + 1
                waiting.append(further)
    return steps
