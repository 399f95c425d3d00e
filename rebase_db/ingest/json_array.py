"""JSON files: one array of objects, read element by element, in memory of the size of the longest element.

A fault in the text between or inside the elements is one of the file, because nobody can tell where the next element
begins; an element that parses but cannot be kept is a fault of its row.
"""

from __future__ import annotations

import codecs
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from rebase_db.errors import SourceError
from rebase_db.ingest.files import SourceFile, open_bytes
from rebase_db.ingest.json_objects import Element, open_objects, unique_keys
from rebase_db.ingest.row_faults import RowFaultError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rebase_db.ingest.source import ReadOptions, Split

_CHUNK = 1 << 20
_LONGEST = 64 << 20
_BLANK = re.compile(r"[ \t\r\n]*")
_STRICT = json.JSONDecoder(object_pairs_hook=unique_keys)
_LENIENT = json.JSONDecoder()


def open_json_array(file: SourceFile, config: str, split: str, options: ReadOptions) -> Split:
    """Find the columns of a JSON file; errors as of `open_objects`."""
    return open_objects(file, _elements, config, split, options)


class _Window:
    """The part of the text that is in hand: `text` from `at` on is not used yet."""

    def __init__(self, file: SourceFile, handle: BinaryIO) -> None:
        self._file = file
        self._handle = handle
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text = ""
        self.at = 0
        self.line = 1
        self.ended = False

    def fault(self, what: str, hint: str = "Check the file with a JSON validator.") -> SourceError:
        return SourceError(f"{self._file.path}: line {self.line}: {what}.", hint=hint)

    def more(self) -> bool:
        """Read on, twice as much each time that the element in hand is not complete; False at the end."""
        if self.ended:
            return False
        if len(self.text) - self.at > _LONGEST:
            raise self.fault(f"broken JSON, or an element longer than {_LONGEST >> 20} MiB")
        raw = self._handle.read(max(_CHUNK, len(self.text) - self.at))
        self.ended = not raw
        try:
            self.text = self.text[self.at :] + self._decoder.decode(raw, final=self.ended)
        except UnicodeDecodeError as error:
            raise self.fault("the text from here on is not UTF-8", "Save the file as UTF-8.") from error
        self.at = 0
        return not self.ended

    def advance(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def peek(self) -> str:
        """The next character that is not blank; '' at the end."""
        while True:
            blank = _BLANK.match(self.text, self.at)
            if blank is not None:
                self.advance(blank.end())
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""


def _elements(file: SourceFile) -> Iterator[Element]:
    with open_bytes(file) as handle:
        window = _Window(file, handle)
        if window.peek() != "[":
            raise window.fault("is no array of objects", "Name a file with one object a line .jsonl.")
        window.advance(window.at + 1)
        following = window.peek()
        while following != "]":
            yield _element(window)
            following = window.peek()
            if following not in {",", "]"}:
                raise window.fault("the array is cut off" if not following else "a comma is missing")
            if following == ",":
                window.advance(window.at + 1)
                following = window.peek()
                if following == "]":
                    raise window.fault("a comma stands before the end of the array")
        window.advance(window.at + 1)
        if window.peek():
            raise window.fault("there is text after the end of the array")


def _element(window: _Window) -> Element:
    window.peek()
    while True:
        try:
            value, end, fault = _decoded(window.text, window.at)
        except json.JSONDecodeError as error:
            if window.more():
                continue
            window.advance(min(error.pos, len(window.text)))
            raise window.fault(f"broken JSON ({error.msg})") from error
        except RecursionError as error:
            raise window.fault("an element is nested too deeply to be read") from error
        except ValueError as error:  # an integer of more digits than Python converts
            raise window.fault(f"an element cannot be read: {error}") from error
        if end < len(window.text) or window.ended:
            break
        window.more()  # a number that ends with the window may go on
    size, line = end - window.at, window.line
    suspect = window.text.find("\\u", window.at, end) >= 0
    window.advance(end)
    return Element(line, size, suspect, partial(_load, value, fault))


def _decoded(text: str, at: int) -> tuple[Any, int, RowFaultError | None]:
    """An element, where it ends, and what is wrong with it."""
    try:
        return *_STRICT.raw_decode(text, at), None
    except RowFaultError as fault:
        return *_LENIENT.raw_decode(text, at), fault


def _load(value: Any, fault: RowFaultError | None) -> Any:
    if fault:
        raise fault
    return value
