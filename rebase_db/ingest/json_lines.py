r"""JSON Lines: one JSON object a line, lines ending with `\n` or `\r\n`; blank lines are skipped and are no rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from rebase_db.ingest.files import SourceFile, numbered_lines, open_bytes
from rebase_db.ingest.json_objects import Element, open_objects, parse
from rebase_db.ingest.row_faults import RowFaultError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rebase_db.ingest.source import ReadOptions, Split


def open_json_lines(file: SourceFile, config: str, split: str, options: ReadOptions) -> Split:
    """Find the columns of a JSON Lines file; errors as of `open_objects`."""
    return open_objects(file, _elements, config, split, options)


def _elements(file: SourceFile) -> Iterator[Element]:
    with open_bytes(file) as handle:
        for number, raw in numbered_lines(file, handle):
            if raw.strip():
                # Only an escape can put a NUL or half a surrogate pair into a string: the bytes are checked as UTF-8,
                # and JSON allows no raw control character.
                yield Element(number, len(raw), b"\\u" in raw, partial(_load, raw))


def _load(raw: bytes) -> Any:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise RowFaultError(
            f"is not UTF-8 (byte 0x{raw[error.start]:02x}, the {error.start + 1}th of its line)",
            hint="Save the file as UTF-8, or leave such rows out with --on-error skip.",
        ) from error
    value = parse(text)
    if isinstance(value, list):
        raise RowFaultError(
            "is a list, not a JSON object", hint="A file that is one list of objects has to be named .json."
        )
    return value
