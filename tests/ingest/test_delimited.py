from __future__ import annotations

import csv
import gzip
import hashlib
import io
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.errors import SourceError
from rebase_db.ingest.open import open_sources
from rebase_db.ingest.source import BATCH_ROWS, Column, OnError, RejectedRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[..., Any]
    Write = Callable[[str, str | bytes], Path]


def test_a_file_is_one_dataset_of_one_split(read: Read, write: Write) -> None:
    path = write("films.csv", "text,label\nDull.,0\nGrand!,1\n")
    found = read(path)
    assert (found.dataset.name, found.dataset.uri) == ("films", path.as_uri())
    assert (found.split.config, found.split.split, found.split.uri) == ("default", "train", path.as_uri())
    assert found.split.revision == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.split.columns == (Column("text", "string"), Column("label", "string"))
    assert found.columns == {"text": ["Dull.", "Grand!"], "label": ["0", "1"]}
    assert found.index == [0, 1]
    assert found.keys == [None, None]


def test_names_can_be_given(read: Read, write: Write) -> None:
    path = write("dev.tsv", "a\n1\n")
    found = read(path, name="org/films", config="short", split="dev", description="Films.", licence="CC0-1.0")
    dataset, split = found.dataset, found.split
    assert (dataset.name, split.config, split.split) == ("org/films", "short", "dev")
    assert (dataset.description, dataset.licence) == ("Films.", "CC0-1.0")


def test_texts_are_kept_to_the_letter(read: Read, write: Write) -> None:
    cells = [
        "",
        " ",
        "NA",
        "null",
        "007",
        "1.50",
        "\u2028",
        "\ufeff",
        "a\r\nb",
        "a\rb",
        'say "x"',
        "\U0001f600",
        "\t",
        "é",
    ]
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([["text", "n"], *([cell, "1"] for cell in cells)])
    assert read(write("a.csv", buffer.getvalue())).columns["text"] == cells
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter="\t").writerows([["text", "n"], *([cell, "1"] for cell in cells)])
    assert read(write("a.tsv", buffer.getvalue())).columns["text"] == cells


def test_a_bare_carriage_return_is_a_character(read: Read, write: Write) -> None:
    found = read(write("a.csv", 'a,b\nx\ry,\r1\n"p\rq\r\nr",s\r\nlast,t\r'))
    assert found.columns == {"a": ["x\ry", "p\rq\r\nr", "last"], "b": ["\r1", "s", "t"]}


def test_a_compressed_file_reads_the_same(read: Read, write: Write) -> None:
    content = b"a,b\n1,2\n"
    path = write("y.CSV.GZ", gzip.compress(content))
    plain, packed = read(write("x.csv", content)), read(path)
    assert plain.columns == packed.columns
    assert packed.dataset.name == "y"
    assert packed.split.revision == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_byte_order_mark_is_no_part_of_the_first_name(read: Read, write: Write) -> None:
    assert list(read(write("a.csv", b"\xef\xbb\xbfa,b\r\n1,2\r\n")).columns) == ["a", "b"]


def test_the_row_key_is_no_column(read: Read, write: Write) -> None:
    found = read(write("a.csv", "a,__row_id,b\n1,k7,2\n3,k9,4\n"))
    assert found.keys == ["k7", "k9"]
    assert found.columns == {"a": ["1", "3"], "b": ["2", "4"]}


def test_blank_lines_are_no_rows_but_an_empty_quoted_field_is_one(read: Read, write: Write) -> None:
    found = read(write("a.csv", 'a\n\n1\n""\n\n2\n\n'))
    assert found.columns == {"a": ["1", "", "2"]}
    assert found.index == [0, 1, 2]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("1,2\n3\n", "has 1 fields where the header has 2"),
        ("1,2\n3,4,5\n", "has 3 fields where the header has 2"),
        ('1,2\n"3"x,4\n', "has text after the closing quote of a field"),
        ('1,2\n"3,4\n', "opens a quote that is never closed"),
    ],
)
def test_a_faulty_row_is_refused_with_its_line(write: Write, rows: str, reason: str) -> None:
    path = write("a.csv", "a,b\n" + rows)
    (dataset,) = open_sources([str(path)])
    with pytest.raises(SourceError) as error:
        list(dataset.splits[0].batches())
    assert error.value.message == f"{path}: line 3 (row 1) {reason}."
    assert error.value.hint


def test_lines_are_counted_through_quoted_line_ends(write: Write) -> None:
    path = write("a.csv", 'a,b\r\n"one\r\ntwo\nthree",2\r\n\r\n4\r\n')
    (dataset,) = open_sources([str(path)])
    with pytest.raises(SourceError, match=r"line 6 \(row 1\) has 1 fields"):
        list(dataset.splits[0].batches())


def test_skipping_lists_what_is_left_out_and_keeps_the_indexes(read: Read, write: Write) -> None:
    path = write("a.csv", b"a,b\n1,2\n3\n4,5\n\xff,6\n7,\0\n8,9\n")
    found = read(path, on_error=OnError.SKIP)
    assert found.columns == {"a": ["1", "4", "8"], "b": ["2", "5", "9"]}
    assert found.index == [0, 2, 5]
    assert found.split.rejected == [
        RejectedRow(path.as_uri(), 1, 3, None, "has 1 fields where the header has 2"),
        RejectedRow(path.as_uri(), 3, 5, "a", "is not UTF-8 (byte 0xff)"),
        RejectedRow(path.as_uri(), 4, 6, "b", "holds a NUL character (U+0000), which no Postgres text can"),
    ]
    list(found.split.batches())
    assert len(found.split.rejected) == 3


@pytest.mark.parametrize(
    "stray",
    ['"x,1', '"x"y,1'],
)
def test_a_stray_quote_costs_one_row(read: Read, write: Write, stray: str) -> None:
    found = read(write("a.csv", f'a,b\nc,0\n{stray}\n"d",2\ne,"3\n4"\n'), on_error=OnError.SKIP)
    assert found.columns == {"a": ["c", "d", "e"], "b": ["0", "2", "3\n4"]}
    assert found.index == [0, 2, 3]
    assert [(row.source_index, row.line) for row in found.split.rejected] == [(1, 3)]


def test_a_quote_that_never_closes_does_not_swallow_the_rest(read: Read, write: Write) -> None:
    found = read(write("a.csv", 'a,b\nc,0\n"x,1\nd,2\ne,3\n'), on_error=OnError.SKIP)
    assert found.columns["a"] == ["c", "d", "e"]
    assert found.index == [0, 2, 3]


def test_a_sample_is_an_even_stride_with_true_indexes(read: Read, write: Write) -> None:
    path = write("a.csv", "n\n" + "".join(f"{n}\n" for n in range(10)))
    found = read(path, max_rows=4)
    assert found.index == [0, 2, 5, 7]
    assert found.columns["n"] == ["0", "2", "5", "7"]
    assert found.split.rows == 10
    assert read(path, max_rows=10).index == read(path, max_rows=11).index == list(range(10))


def test_rows_outside_the_sample_are_not_judged(read: Read, write: Write) -> None:
    found = read(write("a.csv", "n,m\n0,0\n1\n2,2\n3\n"), max_rows=2)
    assert found.index == [0, 2]


def test_batches_are_bounded_in_rows_and_bytes(write: Write) -> None:
    (dataset,) = open_sources([str(write("rows.csv", "n\n" + "1\n" * 10_000))])
    assert [len(batch.source_index) for batch in dataset.splits[0].batches()] == [BATCH_ROWS, BATCH_ROWS, 1808]
    (dataset,) = open_sources([str(write("bytes.csv", "n\n" + ("x" * 1_000_000 + "\n") * 12))])
    assert [len(batch.source_index) for batch in dataset.splits[0].batches()] == [5, 5, 2]


def test_memory_does_not_grow_with_the_file(write: Write) -> None:
    def peak(rows: int) -> int:
        (dataset,) = open_sources(
            [str(write(f"{rows}.csv", "a,b\n" + ("words," + "more " * 300 + "\n") * rows))], max_rows=rows - 1
        )
        tracemalloc.start()
        for _ in dataset.splits[0].batches():
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak(24_000) < 1.3 * peak(8_000)
