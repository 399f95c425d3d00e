"""Rankings and examples as they were published, read from their files and checked."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rebase_db.errors import SourceError
from rebase_db.hashing import content_hash
from rebase_db.ingest.values import text_fault

if TYPE_CHECKING:
    from rebase_db.audit.tables import Record, Table

_MOST = 2**31 - 1
ROW_KEY_COLUMNS = ("dataset_id", "config_id", "row_id")
"""How the authors of ReBase name a row: its dataset, its config, and its number among the rows sampled of that."""


@dataclass(frozen=True, slots=True)
class RowKey:
    """A row as its publisher names it.

    Args:
        dataset: The dataset's name.
        config: The config's name; None where it is not said.
        row: The row's own key at its source; with `split`, its place there from 0.
        split: The split, of references in the form of this project; None of others.
    """

    dataset: str
    config: str | None
    row: str
    split: str | None = None

    def as_reference(self) -> dict[str, Any]:
        """Plain JSON, as it is stored."""
        stated = {"dataset": self.dataset, "config": self.config, "split": self.split, "row": self.row}
        return {name: value for name, value in stated.items() if value is not None}


@dataclass(frozen=True, slots=True)
class RankedRow:
    """A place of a ranking, from 1; `stated_rank` is the file's own, `cells` the best input and output cell."""

    rank: int
    stated_rank: int
    score: float | None
    key: RowKey
    cells: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Example:
    """An example at its place in its file, from 1; `reference` is what is said of its source, as plain JSON."""

    position: int
    input: str
    output: str
    key: RowKey | None = None
    reference: dict[str, Any] | None = None

    @property
    def content_hash(self) -> bytes:
        """Over input and output (tag `published_example/v1`)."""
        return content_hash("published_example/v1", {"input": self.input, "output": self.output})


@dataclass(frozen=True, slots=True)
class ExampleColumns:
    """Which columns of a file are what. `source` holds a reference to a row, as text."""

    input: str = "input"
    output: str = "output"
    source: str | None = None


@dataclass(slots=True)
class Published:
    """Everything of one publication that was read."""

    ranking: list[RankedRow] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)


def read_ranking(table: Table) -> list[RankedRow]:
    """The rows of a ranking, best first.

    Ranks may count from 0 or from 1 and may have gaps; `best_input_cell` and `best_output_cell` may be missing.

    Raises:
        SourceError: Columns are missing, a rank or a row comes twice, or (under `OnError.FAIL`) a row is faulty.
    """
    table.need(("rank", *ROW_KEY_COLUMNS), "A ranking has the columns rank, score, dataset_id, config_id and row_id.")
    read: list[tuple[int, float | None, RowKey, tuple[str | None, str | None]]] = []
    ranks: dict[int, int] = {}
    keys: dict[RowKey, int] = {}
    for index, record in table.records():
        rank = _whole(record["rank"])
        if rank is None or not 0 <= rank < _MOST:
            table.fault(index, "rank", f"holds {record['rank']!r}, which is no rank")
            continue
        score = _number(record.get("score"))
        if score is not None and not math.isfinite(score):
            table.fault(index, "score", f"holds {record['score']!r}, which is no score")
            continue
        key = _row_key(record)
        if key is None:
            table.fault(index, None, "names no row: dataset_id or row_id is empty")
            continue
        if rank in ranks:
            table.fault(index, "rank", f"repeats the rank {rank} of row {ranks[rank]}")
            continue
        if key in keys:
            table.fault(index, "row_id", f"ranks a row that row {keys[key]} ranks already")
            continue
        ranks[rank] = keys[key] = index
        read.append((rank, score, key, (record.get("best_input_cell"), record.get("best_output_cell"))))
    if not read:
        raise SourceError(f"{table.file.path}: there is no usable row in it.")
    read.sort(key=lambda one: one[0])
    first = 0 if read[0][0] else 1
    return [RankedRow(rank + first, rank, score, key, cells) for rank, score, key, cells in read]


def read_examples(table: Table, columns: ExampleColumns) -> list[Example]:
    """The examples of a file, in its order; the place of one that is left out stays free.

    What a row says of its source is in the column `columns.source`, or in dataset_id, config_id and row_id.

    Raises:
        SourceError: Columns are missing, it holds several tasks, or (under `OnError.FAIL`) a row is faulty.
    """
    table.need((columns.input, columns.output), "Name the columns with --input and --output.")
    if columns.source is not None:
        table.need((columns.source,), "Name the column that refers to source rows with --source.")
    examples: list[Example] = []
    tasks: dict[str, int] = {}
    for index, record in table.records():
        empty = [name for name in (columns.input, columns.output) if not (record[name] or "").strip()]
        if empty:
            table.fault(index, empty[0], "has no text")
            continue
        if task := record.get("task"):
            tasks.setdefault(task, index)
        key, reference = _reference(record, columns)
        examples.append(
            Example(index + 1, str(record[columns.input]), str(record[columns.output]), key=key, reference=reference)
        )
    if len(tasks) > 1:
        one, other = list(tasks.items())[:2]
        raise SourceError(
            f"{table.file.path}: holds examples of {one[0]!r} (row {one[1]}) and of {other[0]!r} (row {other[1]}).",
            hint="Import one task at a time, each from a file of its own.",
        )
    if not examples:
        raise SourceError(f"{table.file.path}: there is no usable example in it.")
    return examples


def _reference(record: Record, columns: ExampleColumns) -> tuple[RowKey | None, dict[str, Any] | None]:
    if columns.source is not None:
        stated = (record[columns.source] or "").strip()
        return (_written_key(stated), {"stated": stated}) if stated else (None, None)
    if not {"dataset_id", "row_id"} <= record.keys():
        return None, None
    key = _row_key(record)
    return key, key.as_reference() if key else None


def _written_key(stated: str) -> RowKey | None:
    """A key as `row:NAME:CONFIG/SPLIT:INDEX`, or as JSON, `{"dataset_id": …, "config_id": …, "row_id": …}`."""
    if stated.startswith("row:"):
        place, _, index = stated.removeprefix("row:").rpartition(":")
        name, _, written = place.rpartition(":")
        config, slash, split = written.rpartition("/")
        return RowKey(name, config, index, split) if name and slash else RowKey(place, None, index) if place else None
    if not stated.startswith("{"):
        return None
    try:
        value = json.loads(stated)
    except (ValueError, RecursionError):
        return None
    parts = {name: None if value.get(name) is None else str(value[name]) for name in ROW_KEY_COLUMNS}
    # JSON can spell characters that no name has, and no database takes.
    return None if any(text_fault(text) for text in parts.values() if text) else _row_key(parts)


def _row_key(record: Record) -> RowKey | None:
    dataset, config, row = (record.get(name) for name in ROW_KEY_COLUMNS)
    return RowKey(dataset, config or None, row) if dataset and row else None


def _number(text: str | None) -> float | None:
    """None where there is none; what is no number is NaN, which the caller refuses."""
    if text is None or not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return math.nan


def _whole(text: str | None) -> int | None:
    # pandas writes whole numbers with a missing one among them as 1.0.
    number = _number(text)
    return int(number) if number is not None and number.is_integer() else None
