"""Faults of single rows: one exception inside the readers, one place that decides whether it ends the reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rebase_db.errors import SourceError
from rebase_db.ingest.source import OnError, RejectedRow

SKIP_HINT = "Mend the row, or leave such rows out with --on-error skip."


class RowFaultError(Exception):
    """What is wrong with one row; never leaves the ingest readers.

    Args:
        reason: A verb phrase that follows "row 7" or "column 'text'".
        column: The column at fault, None for the whole row.
        hint: What to do about it, where that is not the usual advice.
    """

    def __init__(self, reason: str, *, column: str | None = None, hint: str = SKIP_HINT) -> None:
        super().__init__(reason)
        self.reason = reason
        self.column = column
        self.hint = hint


@dataclass(frozen=True, slots=True)
class RowFaults:
    """The judge of faulty rows of one split.

    Args:
        uri: The split's `uri`, for the record of a rejected row.
        shown: The source as its user wrote it, for messages.
        on_error: What to do.
        rejected: Where rejected rows are listed.
    """

    uri: str
    shown: str
    on_error: OnError
    rejected: list[RejectedRow]

    def report(self, fault: RowFaultError, index: int, line: int | None = None) -> None:
        """Raise SourceError, or list the row as rejected.

        Args:
            fault: What is wrong.
            index: 0-based row of the split.
            line: 1-based line on which the row begins.
        """
        if self.on_error is OnError.SKIP:
            self.rejected.append(RejectedRow(self.uri, index, line, fault.column, fault.reason))
            return
        where = f"row {index}" if line is None else f"line {line} (row {index})"
        column = "" if fault.column is None else f", column {fault.column!r}"
        raise SourceError(f"{self.shown}: {where}{column} {fault.reason}.", hint=fault.hint) from fault


Judge = Callable[[list[RejectedRow]], RowFaults]
"""Makes the judge of one reading, given where it lists what it rejects."""
