"""Source files on disk: what format they are, that they are what their name says, and their bytes.

Everything that can go wrong below the level of rows ends here as a SourceError that names the file.
"""

from __future__ import annotations

import difflib
import gzip
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO, cast

from rebase_db.errors import SourceError
from rebase_db.hashing import file_hash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_LINE = 256 << 20
"""Bytes of the longest line or field that is read, so that memory has a bound; a Postgres text ends at 1 GB."""

_BOM = b"\xef\xbb\xbf"
_HEAD = 4096
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive (as spreadsheets are, too)",
    _GZIP: "gzip-compressed",
    b"BZh": "bzip2-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"\x28\xb5\x2f\xfd": "Zstandard-compressed",
    b"SQLite format 3": "an SQLite database",
    b"ARROW1": "an Arrow file",
    b"\x89HDF": "an HDF5 file",
    _PARQUET: "a Parquet file",
    b"PARE": "an encrypted Parquet file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"version https://git-lfs": "a Git LFS pointer, not the data it points to",
}
_HINTS = {
    "UTF-16 text": "Convert it to UTF-8.",
    "a Git LFS pointer, not the data it points to": "Fetch it: git lfs pull.",
}


class FileFormat(StrEnum):
    """The formats of single files, by the ending of the name; each may have a further `.gz`."""

    PARQUET = ".parquet"
    JSON_LINES = ".jsonl"
    NDJSON = ".ndjson"
    JSON = ".json"
    CSV = ".csv"
    TSV = ".tsv"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that looks like what its name says.

    Args:
        path: The file, as its user wrote it.
        stem: Its name without the endings.
        file_format: What it holds.
        gzipped: Whether it is compressed.
        revision: SHA-256 of its bytes, hex.
        state: Size and time of change when it was hashed; a reading ends by comparing them.
    """

    path: Path
    stem: str
    file_format: FileFormat
    gzipped: bool
    revision: str
    state: tuple[int, int]

    @property
    def uri(self) -> str:
        """Its `file:` URI."""
        return self.path.resolve().as_uri()


def split_name(name: str) -> tuple[str, FileFormat, bool] | None:
    """Stem, format and whether it is compressed, of a file name; None where no format has such a name."""
    lowered = name.lower().removesuffix(".gz")
    for file_format in FileFormat:
        if lowered.endswith(file_format) and len(lowered) > len(file_format):
            return name[: len(lowered) - len(file_format)], file_format, len(lowered) < len(name)
    return None


def source_file(path: Path) -> SourceFile:
    """Look at a file: name, first bytes, hash.

    Raises:
        SourceError: There is no such file, nothing reads its format, it is empty, or it is not what its name says.
    """
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file.", hint=_similar(path))
    parts = split_name(path.name)
    if parts is None:
        endings = ", ".join(FileFormat)
        raise SourceError(f"{path}: no reader for files of this name.", hint=f"Known: {endings}, each also with .gz.")
    stem, file_format, gzipped = parts
    try:
        state = _state(path)
        revision = file_hash(path).hex()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}.") from error
    file = SourceFile(path, stem, file_format, gzipped, revision, state)
    _check_content(file)
    return file


@contextmanager
def open_bytes(file: SourceFile) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed; what fails while they are read is raised as SourceError.

    At a regular end it is checked that the file is still the one that was hashed.
    """
    try:
        with file.path.open("rb") as raw:
            if file.gzipped:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast("BinaryIO", unpacked)
            else:
                yield raw
        changed = _state(file.path) != file.state
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(
            f"{file.path}: the gzip archive is cut off or damaged ({error}).", hint="Fetch or compress it again."
        ) from error
    except OSError as error:
        raise SourceError(f"{file.path}: cannot be read: {error.strerror or error}.") from error
    if changed:
        raise SourceError(f"{file.path}: changed while it was read.", hint="Ingest it again when it is complete.")


def numbered_lines(file: SourceFile, handle: BinaryIO) -> Iterator[tuple[int, bytes]]:
    r"""Line numbers from 1 and lines with their ends, split at `\n` alone; a UTF-8 byte order mark is dropped."""
    number = 0
    while raw := handle.readline(MAX_LINE + 1):
        number += 1
        if len(raw) > MAX_LINE:
            raise SourceError(
                f"{file.path}: line {number} is longer than {MAX_LINE >> 20} MiB.", hint="Check that it has line ends."
            )
        yield number, raw.removeprefix(_BOM) if number == 1 else raw


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _similar(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either."
    near = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=3)
    return f"Did you mean {' or '.join(near)}?" if near else ""


def _check_content(file: SourceFile) -> None:
    """Compare the first bytes with what the name says."""
    if not file.state[0]:
        raise SourceError(f"{file.path}: the file is empty (0 bytes).", hint="Fetch it again, or leave it out.")
    with file.path.open("rb") as raw:
        packed = raw.read(len(_GZIP)) == _GZIP
    if file.gzipped and not packed:
        raise SourceError(f"{file.path}: is named .gz but is not gzip-compressed.", hint="Drop the .gz from its name.")
    if packed and not file.gzipped:
        raise SourceError(f"{file.path}: is gzip-compressed.", hint=f"Rename it to {file.path.name}.gz.")
    with open_bytes(file) as handle:
        head = handle.read(_HEAD)
    if not head:
        raise SourceError(f"{file.path}: the archive is empty.", hint="Fetch it again, or leave it out.")
    if file.file_format is FileFormat.PARQUET and head.startswith(_PARQUET):
        return
    if found := _recognise(head):
        hint = _HINTS.get(found, "Give it the name of what it is, or fetch the file itself.")
        raise SourceError(f"{file.path}: is {found}, not {file.file_format}.", hint=hint)
    if file.file_format is FileFormat.PARQUET:
        raise SourceError(f"{file.path}: is not a Parquet file.", hint="Parquet files begin with the bytes PAR1.")


def _recognise(head: bytes) -> str | None:
    """What a file is that begins so, where that is no text in UTF-8 of rows."""
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            return what
    start = head.removeprefix(_BOM).lstrip()[:16].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "an HTML or XML page"
    if head.count(b"\0") * 3 > len(head):
        return "binary data, or UTF-16 text without its mark"
    return None
