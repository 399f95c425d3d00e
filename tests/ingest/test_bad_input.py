"""Files that are not what they should be: kept as they are, or refused with where, what, and what to do."""

from __future__ import annotations

import gzip
import io
import json
import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rebase_db.errors import SourceError
from rebase_db.ingest.open import open_sources
from rebase_db.ingest.source import OnError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[..., Any]
    Write = Callable[[str, str | bytes], Path]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
HTML = b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
CSV = b"a,b\n" + b"".join(b"%d,words\n" % n for n in range(20_000))


def parquet_bytes(columns: dict[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **options)
    return buffer.getvalue()


PARQUET = parquet_bytes({"a": [f"words {n}" for n in range(20_000)]}, use_dictionary=False, compression="snappy")


@pytest.mark.parametrize("on_error", OnError)
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.parquet", PNG, "is a PNG image, not .parquet"),
        ("a.parquet", b"text\n", "is not a Parquet file"),
        ("a.parquet", LFS, "is a Git LFS pointer"),
        ("a.parquet", PARQUET[: len(PARQUET) // 2], "cannot be read as Parquet"),
        ("a.parquet", PARQUET[:2000] + bytes(2000) + PARQUET[4000:], "cannot be read as Parquet"),
        ("a.parquet", parquet_bytes({"a": pa.array([], pa.string())}), "there is no row"),
        ("a.jsonl", HTML, "is an HTML or XML page, not .jsonl"),
        ("a.jsonl", PARQUET, "is a Parquet file, not .jsonl"),
        ("a.jsonl", CSV, "no row of it can be read|is broken JSON"),
        ("a.jsonl", b"\n \n\n", "there is no row"),
        ("a.jsonl", b'{}\n{"__row_id": 3}\n', "there is no column of data"),
        ("a.csv", HTML, "is an HTML or XML page, not .csv"),
        ("a.csv", PNG, "is a PNG image"),
        ("a.csv", b"PK\x03\x04" + bytes(30), "is a ZIP archive"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "is UTF-16 text"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16-le"), "binary data, or UTF-16 text without its mark"),
        ("a.csv", b"a,\xe9\n1,2\n", r"line 1 \(the header\) is not UTF-8 \(byte 0xe9\)"),
        ("a.csv", b"a,b\n", "there is a header but no row"),
        ("a.csv", b"\n\n\n", "there are only blank lines"),
        ("a.csv", b"a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'"),
        ("a.csv", b",text\n0,x\n", "column 1 has no name"),
        ("a.csv", b"a,n\0l\n1,2\n", r"line 1 \(the header\) holds a NUL"),
        ("a.csv", b"__row_id\n1\n", "there is no column of data"),
        ("a.csv", b"a;b\n1;2\n", "is separated by semicolons, not by commas"),
        ("a.csv", b"a\tb\n1\t2\n", "is separated by tabs, not by commas"),
        ("a.csv", b'"a,b\n1,2\n', r"line 1 \(the header\) opens a quote that is never closed"),
        ("a.csv", b"a,b\r1,2\r3,4\r", r"line 1 \(the header\) has a bare carriage return"),
        ("a.csv", b"", r"the file is empty \(0 bytes\)"),
        ("a.jsonl", b"", r"the file is empty \(0 bytes\)"),
        ("a.parquet", b"", r"the file is empty \(0 bytes\)"),
        ("a.csv.gz", CSV, "is named .gz but is not gzip-compressed"),
        ("a.csv", gzip.compress(CSV, mtime=0), "is gzip-compressed"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "the archive is empty"),
        ("a.csv.gz", gzip.compress(CSV, mtime=0)[:-20_000], "the gzip archive is cut off or damaged"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n', mtime=0)[:-6], "the gzip archive is cut off or damaged"),
        ("a.csv.gz", gzip.compress(CSV, mtime=0)[:-8] + bytes(8), "the gzip archive is cut off or damaged"),
        ("a.parquet.gz", gzip.compress(PARQUET, mtime=0)[:-1000], "the gzip archive is cut off or damaged"),
        ("a.parquet.gz", gzip.compress(PNG, mtime=0), "is a PNG image"),
        ("a.xlsx", b"PK", "no reader for files of this name"),
        (".csv", b"a\n1\n", "no reader for files of this name"),
    ],
)
def test_a_fault_of_the_file_is_always_refused(
    read: Read, write: Write, name: str, content: bytes, reason: str, on_error: OnError
) -> None:
    path = write(name, content)
    with pytest.raises(SourceError, match=reason) as error:
        read(path, on_error=on_error)
    assert error.value.message.startswith(f"{path}")
    assert error.value.hint


def test_a_missing_file_offers_its_neighbours(tmp_path: Path, write: Write) -> None:
    write("train.csv", "a\n1\n")
    with pytest.raises(SourceError, match="there is no such file") as error:
        next(open_sources([str(tmp_path / "trian.csv")]))
    assert error.value.hint == "Did you mean train.csv?"
    with pytest.raises(SourceError, match="there is no such file") as error:
        next(open_sources([str(tmp_path / "no" / "x.csv")]))
    assert "no folder" in error.value.hint


def test_a_file_that_changes_while_it_is_read_is_refused(write: Write) -> None:
    path = write("a.csv", "a\n1\n")
    (dataset,) = open_sources([str(path)])
    path.write_text("a\n1\n2\n")
    with pytest.raises(SourceError, match="changed while it was read"):
        list(dataset.splits[0].batches())


def test_a_file_that_nobody_may_read_is_refused(write: Write) -> None:
    path = write("a.csv", "a\n1\n")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(SourceError, match="cannot be read: Permission denied"):
        next(open_sources([str(path)]))


def test_when_every_row_is_left_out_the_source_is_refused(read: Read, write: Write) -> None:
    with pytest.raises(
        SourceError, match="no row that can be read; the first of 2 has 1 fields where the header has 2"
    ):
        read(write("a.csv", "a,b\n1\n2\n"), on_error=OnError.SKIP)


def test_one_split_twice_is_refused(write: Write) -> None:
    first, second = write("a.csv", "a\n1\n"), write("b.csv", "a\n1\n")
    opened = open_sources([str(first), str(second)], name="films")
    assert next(opened).name == "films"
    with pytest.raises(SourceError, match="is the split default/train of films, and so is"):
        next(opened)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_line_that_never_ends_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("rebase_db.ingest.files.MAX_LINE", 1 << 20)
    with pytest.raises(SourceError, match="line 2 is longer than 1 MiB"):
        list(open_sources([str(write(name, '{"a": 1}\n' + "x" * (1 << 20) + "y\n"))]))


def test_an_element_that_never_ends_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rebase_db.ingest.json_array._LONGEST", 1 << 20)
    with pytest.raises(SourceError, match="line 2: broken JSON, or an element longer than 1 MiB"):
        list(open_sources([str(write("a.json", '[{"a": 1},\n{"a": "' + "x" * (5 << 20)))]))


def test_a_sample_of_nothing_is_refused(write: Write) -> None:
    with pytest.raises(SourceError, match="A sample of 0 rows holds nothing"):
        next(open_sources([str(write("a.csv", "a\n1\n"))], max_rows=0))


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "json", "parquet"])
@pytest.mark.parametrize("length", [80_122, 10_000_000])
def test_long_cells_are_kept(read: Read, write: Write, form: str, length: int) -> None:
    text = ("wörter " * (length // 7 + 1))[:length]
    assert read(_write_rows(write, form, ["t", "n"], [[text, "1"], ["short", "2"]])).columns["t"] == [text, "short"]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_671_columns_are_kept(read: Read, write: Write, form: str) -> None:
    names = [f"column {n}" for n in range(671)]
    found = read(_write_rows(write, form, names, [[f"{row}.{n}" for n in range(671)] for row in range(3)]))
    assert list(found.columns) == names
    assert found.columns["column 670"] == ["0.670", "1.670", "2.670"]


def _write_rows(write: Write, form: str, names: list[str], rows: list[list[str]]) -> Path:
    if form == "parquet":
        return write("a.parquet", parquet_bytes(dict(zip(names, zip(*rows, strict=True), strict=True))))
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    if form == "json":
        return write("a.json", json.dumps(objects))
    if form == "jsonl":
        return write("a.jsonl", "".join(json.dumps(row) + "\n" for row in objects))
    separator = {"csv": ",", "tsv": "\t"}[form]
    return write(f"a.{form}", "".join(separator.join(row) + "\n" for row in [names, *rows]))
