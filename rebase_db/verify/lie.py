"""What verifying finds: a record that is not what it must be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection

    Check = Callable[[Connection], Iterator["Lie"]]
    """Looks for lies of one kind over a connection whose transaction is one snapshot."""

LONG = 80
SHORT = 12
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Lie:
    """A record that contradicts its own hash, another record, or a file.

    Attributes:
        record: Its table.
        key: Its primary key by column; empty where it is not one record but a check that failed.
        what: What is wrong, a sentence without its full stop.
        expected: What it must be, as text, hashes in hex; None where there is nothing to compare.
        found: What it is.
    """

    record: str
    key: Mapping[str, Any]
    what: str
    expected: str | None = None
    found: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "record": self.record,
            "key": dict(self.key),
            "what": self.what,
            "expected": self.expected,
            "found": self.found,
        }

    def __str__(self) -> str:
        """One line: record, key, what is wrong; hashes and long values cut."""
        key = " ".join(f"{column}={value}" for column, value in self.key.items())
        line = f"{self.record} {key}: {self.what}" if key else f"{self.record}: {self.what}"
        if self.expected is None and self.found is None:
            return line
        return f"{line} (expected {_shown(self.expected)}, found {_shown(self.found)})"


def _shown(value: str | None) -> str:
    if value is None:
        return "none"
    if _HASH.fullmatch(value):
        return f"{value[:SHORT]}…"
    line = " ".join(value.split())
    return line if len(line) <= LONG else f"{line[: LONG - 1]}…"
