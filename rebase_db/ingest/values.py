"""Values as text: how numbers, lists and the like are written, and which texts a database cannot hold."""

from __future__ import annotations

import json
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from rebase_db.errors import SourceError
from rebase_db.ingest.source import ROW_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

NUL_REASON = "holds a NUL character (U+0000), which no Postgres text can"
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _plain(value: object) -> str:
    """What JSON has no form for: ISO 8601 for dates and times, decimal digits for decimals."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, timedelta | UUID):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__} has no text form")


json_text = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"), default=_plain).encode
"""Compact JSON: keys in their order, no escapes that JSON does not need, and `NaN`, `Infinity`, `-Infinity` as such.

Raises RecursionError for values nested some hundred levels deep.
"""


def value_text(value: object) -> str:
    """A value that is no struct as the text of a cell: a string as it is, anything else as `json_text` or ISO 8601."""
    if isinstance(value, str):
        return value
    if isinstance(value, date | time | Decimal | timedelta | UUID):
        return _plain(value)
    return json_text(value)


def float_text(value: float) -> str:
    """The shortest digits that read back as the same double; `NaN`, `Infinity` and `-Infinity` as JSON writes them."""
    text = repr(value)
    return _NOT_FINITE.get(text, text)


def text_fault(text: str) -> str | None:
    """Why a database cannot hold `text`, or None: NUL characters and surrogates without their other half."""
    if "\0" in text:
        return NUL_REASON
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"holds a lone surrogate (U+{ord(text[error.start]):04X}), which is no character"
    return None


def check_column_names(names: Iterable[str], shown: str) -> None:
    """Raise SourceError unless the names can name columns: none empty, none twice, all of them proper text.

    Args:
        names: The names, in the order of the source.
        shown: The source and where in it the names stand, for the message.
    """
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if fault := text_fault(name):
            raise SourceError(f"{shown}: the name of column {position} {fault}.", hint="Rename the column.")
        if not name.strip():
            raise SourceError(
                f"{shown}: column {position} has no name.",
                hint="Name it, or drop it (pandas writes its index so; to_csv(index=False) does not).",
            )
        if name in seen:
            raise SourceError(
                f"{shown}: columns {seen[name]} and {position} are both named {name!r}.", hint="Rename one of them."
            )
        seen[name] = position
    if not seen.keys() - {ROW_KEY}:
        raise SourceError(f"{shown}: there is no column of data.", hint="Check that it is the right file.")
