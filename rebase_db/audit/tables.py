"""Published files as records: what the readers of ingest yield, by the names of their columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rebase_db.errors import SourceError, did_you_mean
from rebase_db.ingest.file_split import open_file
from rebase_db.ingest.files import SourceFile, source_file
from rebase_db.ingest.row_faults import RowFaultError, RowFaults
from rebase_db.ingest.source import OnError, ReadOptions, RejectedRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from rebase_db.ingest.source import Split

Record = dict[str, str | None]
"""Text by column; None where the file has no value."""

_KEY = "__row_id"


@dataclass(slots=True)
class Table:
    """A file of records, opened but not read.

    `rejected` lists what was left out under `OnError.SKIP`, by the file's reader and by `fault`.
    """

    file: SourceFile
    split: Split
    on_error: OnError
    rejected: list[RejectedRow] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """The names of its columns; a nested field's is `outer.inner`."""
        return [column.name for column in self.split.columns]

    def need(self, columns: Sequence[str], hint: str) -> None:
        """Raise SourceError for the first of `columns` that the file does not have."""
        for name in columns:
            if name not in self.columns:
                raise SourceError(
                    f"{self.file.path}: there is no column {name!r} in it; it has {_listed(self.columns)}.",
                    hint=" ".join(filter(None, (hint, did_you_mean(name, self.columns)))),
                )

    def records(self) -> Iterator[tuple[int, Record]]:
        """Each row's place in the file, from 0, and its record."""
        names = self.columns
        for batch in self.split.batches():
            for at, (index, key) in enumerate(zip(batch.source_index, batch.source_key, strict=True)):
                record: Record = {name: column[at] for name, column in zip(names, batch.cells, strict=True)}
                if key is not None:
                    record[_KEY] = key
                yield index, record
        self.rejected += self.split.rejected

    def fault(self, index: int, column: str | None, reason: str) -> None:
        """A row cannot be used: raise SourceError, or list it as rejected."""
        RowFaults(self.file.uri, str(self.file.path), self.on_error, self.rejected).report(
            RowFaultError(reason, column=column), index
        )


def open_table(path: Path, on_error: OnError) -> Table:
    """Open a file of records.

    Raises:
        SourceError: It cannot be read as what its name says, or there is no row in it.
    """
    file = source_file(path)
    return Table(file, open_file(file, "default", "train", ReadOptions(on_error=on_error)), on_error)


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")  # noqa: PLR2004
