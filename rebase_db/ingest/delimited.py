r"""CSV and TSV files: quoting as in RFC 4180, with commas or tabs; every field is a text and every text is kept.

An empty field is an empty text, never null. Lines end with `\n` or `\r\n`; blank lines are no rows. A field that begins
with a quote must end with one, quotes inside it are doubled, and it may hold line ends; a quote elsewhere is a plain
character, and so is a `\r` that no `\n` follows (pandas leaves such ones unquoted).

Where a quoted field does not end as it should, the row is only the line it begins on and reading goes on with the next
line, so that one stray quote neither swallows the rows after it nor shifts their indexes.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rebase_db.errors import SourceError
from rebase_db.ingest.files import MAX_LINE, FileFormat, SourceFile, numbered_lines, open_bytes
from rebase_db.ingest.row_faults import Judge, RowFaultError, RowFaults
from rebase_db.ingest.sample import Stride, stride
from rebase_db.ingest.source import ROW_KEY, Batch, BatchBuilder, Column, ReadOptions, RejectedRow, Split
from rebase_db.ingest.values import check_column_names, text_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Stands for a carriage return that ends no line while csv.reader, which would take it for a line end, splits fields; a
# code point that decoding never makes.
_RETURN = "\udc0d"
_BARE_RETURN = re.compile(r"\r(?!\n|\Z)")
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_QUOTE_HINT = (
    'A field that begins with a quote has to end with one, and quotes inside it are doubled (""). Mend the row, or '
    "leave such rows out with --on-error skip."
)


class _Line(NamedTuple):
    number: int
    text: str
    size: int
    suspect: bool
    """Whether it holds NUL characters or bytes that are no UTF-8 (as surrogates, so that fields can still be told)."""


class _Record(NamedTuple):
    line: int
    fields: list[str]
    size: int
    suspect: bool
    fault: RowFaultError | None


class _Lines:
    """The lines that `csv.reader` asks for; those of the record in hand can be given back."""

    def __init__(self, numbered: Iterable[tuple[int, bytes]]) -> None:
        self._numbered = iter(numbered)
        self._again: deque[_Line] = deque()
        self.record: list[_Line] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else _decoded(*next(self._numbered))
        self.record.append(line)
        return line.text

    def give_back_all_but_first(self) -> None:
        self._again.extendleft(reversed(self.record[1:]))


def _decoded(number: int, raw: bytes) -> _Line:
    suspect = b"\0" in raw
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text, suspect = raw.decode(errors="surrogateescape"), True
    if "\r" in text:
        text = _BARE_RETURN.sub(_RETURN, text)
    return _Line(number, text, len(raw), suspect)


def _records(file: SourceFile) -> Iterator[_Record]:
    """The header and every row, faulty or not."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
    with open_bytes(file) as handle:
        lines = _Lines(numbered_lines(file, handle))
        reader = csv.reader(lines, delimiter="\t" if file.file_format is FileFormat.TSV else ",", strict=True)
        while True:
            lines.record = []
            fault = None
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                fields, fault = [], _quote_fault(error)
                lines.give_back_all_but_first()
            if fields or fault:
                record = lines.record
                if any(_RETURN in line.text for line in record):
                    fields = [text.replace(_RETURN, "\r") for text in fields]
                size, suspect = sum(line.size for line in record), any(line.suspect for line in record)
                yield _Record(record[0].number, fields, size, suspect, fault)


def _quote_fault(error: csv.Error) -> RowFaultError:
    if "expected after" in str(error):
        return RowFaultError("has text after the closing quote of a field", hint=_QUOTE_HINT)
    return RowFaultError("opens a quote that is never closed", hint=_QUOTE_HINT)


def open_delimited(file: SourceFile, config: str, split: str, options: ReadOptions) -> Split:
    """Read the header of a CSV or TSV file, and count its rows if only a sample of them is wanted.

    Raises:
        SourceError: The header is faulty, or there are no rows.
    """
    names, empty = _header(file)
    check_column_names(names, f"{file.path}: line 1")
    if empty:
        raise SourceError(f"{file.path}: there is a header but no row.", hint="Fetch it again, or leave it out.")
    sample = None if options.max_rows is None else stride(sum(1 for _ in _records(file)) - 1, options.max_rows)
    return Split(
        config=config,
        split=split,
        uri=file.uri,
        revision=file.revision,
        rows=None if sample is None else sample.total,
        columns=tuple(Column(name, "string") for name in names if name != ROW_KEY),
        left_out=(),
        read=partial(_batches, file, names, sample, partial(RowFaults, file.uri, str(file.path), options.on_error)),
    )


def _header(file: SourceFile) -> tuple[list[str], bool]:
    """The column names, and whether nothing follows them."""
    records = _records(file)
    header = next(records, None)
    if header is None:
        raise SourceError(f"{file.path}: there are only blank lines.", hint="Fetch it again, or leave it out.")
    if header.fault:
        raise SourceError(
            f"{file.path}: line {header.line} (the header) {header.fault.reason}.", hint=header.fault.hint
        )
    if header.suspect:
        _check_encoding(header, file, header.fields)
    if any("\r" in name for name in header.fields):
        raise SourceError(
            f"{file.path}: line {header.line} (the header) has a bare carriage return.",
            hint="Write line ends as LF or CRLF.",
        )
    if file.file_format is FileFormat.CSV and len(header.fields) == 1:
        for separator, what in _OTHER_SEPARATORS.items():
            if separator in header.fields[0]:
                raise SourceError(
                    f"{file.path}: line {header.line} (the header) is separated by {what}, not by commas.",
                    hint="Name a tab-separated file .tsv; write others with commas.",
                )
    return header.fields, next(records, None) is None


def _check_encoding(header: _Record, file: SourceFile, names: list[str]) -> None:
    try:
        _check_texts(header, names)
    except RowFaultError as fault:
        raise SourceError(
            f"{file.path}: line {header.line} (the header) {fault.reason}.", hint="Save the file as UTF-8."
        ) from fault


def _batches(
    file: SourceFile, names: list[str], sample: Stride | None, judge: Judge, rejected: list[RejectedRow]
) -> Iterator[Batch]:
    faults = judge(rejected)
    key_at = names.index(ROW_KEY) if ROW_KEY in names else None
    builder = BatchBuilder(len(names) - (key_at is not None))
    records = _records(file)
    next(records)
    for index, record in enumerate(records):
        if sample is not None and index not in sample:
            continue
        try:
            _check(record, names)
        except RowFaultError as fault:
            faults.report(fault, index, record.line)
            continue
        cells: list[str | None] = list(record.fields)
        key = None if key_at is None else cells.pop(key_at)
        if batch := builder.add(index, key, cells, record.size):
            yield batch
    if batch := builder.rest():
        yield batch


def _check(record: _Record, names: list[str]) -> None:
    if record.fault:
        raise record.fault
    if len(record.fields) != len(names):
        raise RowFaultError(f"has {len(record.fields)} fields where the header has {len(names)}")
    if record.suspect:
        _check_texts(record, names)


def _check_texts(record: _Record, names: list[str]) -> None:
    for name, text in zip(names, record.fields, strict=True):
        raw = text.encode(errors="surrogateescape")
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise RowFaultError(
                f"is not UTF-8 (byte 0x{raw[error.start]:02x})",
                column=name,
                hint="Save the file as UTF-8, or leave such rows out with --on-error skip.",
            ) from error
        if reason := text_fault(text):
            raise RowFaultError(reason, column=name)
