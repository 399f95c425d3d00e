"""What the readers of the ingest stage hand over: datasets of splits, splits of batches of text cells.

A reader knows nothing of a database. It opens a source far enough to say what is in it (columns, what is left out, the
revision) and then yields its rows in batches, in memory that does not grow with the source.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from rebase_db.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH_ROWS = 4096
BATCH_BYTES = 4 << 20
ROW_KEY = "__row_id"
"""The column that carries a source's own row key; it is `Batch.source_key`, never a column."""


class OnError(StrEnum):
    """What a faulty row does: end the reading, or be listed in `Split.rejected` and left out.

    A fault of the whole source (its header, its format, a damaged archive) always raises.
    """

    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of text cells.

    Args:
        name: Its name in the source; a field of a nested value is `outer.inner`.
        source_type: Its type there (`string`, `int64`, `list<item: string>`, `ClassLabel`), or `mixed(int, string)`
            where the source is untyped and its values differ.
    """

    name: str
    source_type: str


@dataclass(frozen=True, slots=True)
class LeftOutColumn:
    """A column that is not read because its values are no text, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was left out under `OnError.SKIP`.

    Args:
        uri: The split's `uri`.
        source_index: 0-based position of the row in its split.
        line: 1-based line of the file on which the row begins; None where the format has no lines.
        column: The column at fault; None where it is the whole row.
        reason: What is wrong with it, as a verb phrase ("holds a NUL character").
    """

    uri: str
    source_index: int
    line: int | None
    column: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows by column: `cells[c][i]` is row i of the split's column c.

    A cell is None where the source has no value, `''` where it has an empty text. `source_index` is the 0-based
    position in the whole split, also when only a sample of it is read; `source_key` is the text of `__row_id`, or None.
    """

    source_index: list[int]
    source_key: list[str | None]
    cells: list[list[str | None]]


@dataclass(slots=True)
class Split:
    """One split of one config, opened but not read.

    Args:
        config: The config's name.
        split: The split's name.
        uri: Where it is, without its revision: a `file:` URI, or `hf:NAME:CONFIG`.
        revision: SHA-256 (hex) of the file's bytes, or the commit or fingerprint of a hub dataset.
        rows: Rows of the whole source, however few of them are sampled; None where only reading would tell.
        columns: The columns, in the source's order.
        left_out: Columns that are not read.
        read: Yields the batches, and lists what it rejects in the given list.
        rejected: What the latest reading left out; filled while iterating.
    """

    config: str
    split: str
    uri: str
    revision: str
    rows: int | None
    columns: tuple[Column, ...]
    left_out: tuple[LeftOutColumn, ...]
    read: Callable[[list[RejectedRow]], Iterator[Batch]] = field(repr=False)
    rejected: list[RejectedRow] = field(default_factory=list, init=False, repr=False)

    def batches(self) -> Iterator[Batch]:
        """The rows from the beginning, each call anew, in batches of about 4,096 rows or 4 MB, whichever comes first.

        Raises:
            SourceError: A row is faulty (under `OnError.FAIL`), the source turns out to be damaged or changes while it
                is read, or no row is left.
        """
        self.rejected.clear()
        empty = True
        for batch in self.read(self.rejected):
            empty = empty and not batch.source_index
            yield batch
        if empty:
            detail = f"; the first of {len(self.rejected)} {self.rejected[0].reason}" if self.rejected else ""
            raise SourceError(
                f"{self.uri} (split {self.split!r}) has no row that can be read{detail}.",
                hint="Check that it is the right file, or leave it out.",
            )


@dataclass(frozen=True, slots=True)
class SourceDataset:
    """A dataset: what one dataset row of the database describes, and its splits.

    `description` and `licence` are empty where the source states none.
    """

    name: str
    uri: str
    description: str
    licence: str
    splits: list[Split]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How rows are read: at most `max_rows` of each split (None: all), and what a faulty row does."""

    max_rows: int | None = None
    on_error: OnError = OnError.FAIL


class BatchBuilder:
    """Collects rows of a reader that sees one row at a time."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._clear()

    def _clear(self) -> None:
        self._index: list[int] = []
        self._key: list[str | None] = []
        self._rows: list[list[str | None]] = []
        self._size = 0

    def add(self, index: int, key: str | None, cells: list[str | None], size: int) -> Batch | None:
        """Take a row of `size` bytes; return a batch when it is full."""
        self._index.append(index)
        self._key.append(key)
        self._rows.append(cells)
        self._size += size
        return self.rest() if len(self._rows) >= BATCH_ROWS or self._size >= BATCH_BYTES else None

    def rest(self) -> Batch | None:
        """What was added since the last batch, or None."""
        if not self._rows:
            return None
        batch = Batch(self._index, self._key, [list(column) for column in zip(*self._rows, strict=True)])
        self._clear()
        return batch
