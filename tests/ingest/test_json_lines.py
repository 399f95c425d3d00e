from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.errors import SourceError
from rebase_db.ingest.open import open_sources
from rebase_db.ingest.source import Column, OnError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[..., Any]
    Write = Callable[[str, str | bytes], Path]


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_the_columns_are_the_union_in_order_of_appearance(read: Read, write: Write) -> None:
    found = read(write("a.jsonl", lines({"b": "x", "a": "y"}, {"c": "z", "a": ""}, {"b": None})))
    assert found.columns == {"b": ["x", None, None], "a": ["y", "", None], "c": [None, "z", None]}
    assert found.split.rows == 3


def test_objects_flatten_and_lists_stay_json(read: Read, write: Write) -> None:
    row = {"answers": {"text": ["é", 1.0, None, {"z": 1, "a": [True]}], "at": {"start": 3}}, "none": {}}
    found = read(write("a.ndjson", lines(row)))
    assert found.columns == {
        "answers.text": ['["é",1.0,null,{"z":1,"a":[true]}]'],
        "answers.at.start": ["3"],
        "none": ["{}"],
    }
    assert [column.source_type for column in found.split.columns] == ["list", "int", "object"]


def test_each_value_is_written_by_its_own_type(read: Read, write: Write) -> None:
    rows = [1, "1", 1.5, True, False, None, [1], 10**30, 1e20, -0.0]
    found = read(write("a.jsonl", lines(*({"v": row, "w": "x"} for row in rows))))
    assert found.columns["v"] == ["1", "1", "1.5", "true", "false", None, "[1]", "1" + "0" * 30, "1e+20", "-0.0"]
    assert found.split.columns[0] == Column("v", "mixed(bool, float, int, list, string)")


def test_what_is_no_number_is_kept_as_text(read: Read, write: Write) -> None:
    found = read(write("a.jsonl", '{"v":NaN,"l":[NaN,Infinity]}\n{"v":Infinity}\n{"v":-Infinity}\n'))
    assert found.columns == {"v": ["NaN", "Infinity", "-Infinity"], "l": ["[NaN,Infinity]", None, None]}


def test_a_key_may_hold_an_object_here_and_a_scalar_there(read: Read, write: Write) -> None:
    found = read(write("a.jsonl", lines({"a": 1}, {"a": {"b": 2}}, {"a": None})))
    assert found.columns == {"a": ["1", None, None], "a.b": [None, "2", None]}


def test_null_instead_of_an_object_gives_no_column(read: Read, write: Write) -> None:
    found = read(write("a.jsonl", lines({"a": None}, {"a": {"b": 2}}, {"c": None})))
    assert found.columns == {"a.b": [None, "2", None], "c": [None, None, None]}
    assert found.split.columns[1].source_type == "null"


def test_two_ways_to_one_column_name_are_refused(write: Write) -> None:
    path = write("a.jsonl", lines({"a": {"b": 1}}, {"a.b": 2}))
    with pytest.raises(SourceError, match=r"line 2: the key 'a\.b' and the nested keys 'a' > 'b' would both") as error:
        list(open_sources([str(path)], on_error=OnError.SKIP))
    assert error.value.hint == "Rename one of the keys."


def test_blank_lines_and_crlf(read: Read, write: Write) -> None:
    found = read(write("a.jsonl", b'\xef\xbb\xbf{"a":1}\r\n\r\n   \n{"a":2}\r\n{"a":3}'))
    assert found.columns == {"a": ["1", "2", "3"]}
    assert found.index == [0, 1, 2]


def test_the_row_key_is_no_column(read: Read, write: Write) -> None:
    found = read(write("a.jsonl", lines({"__row_id": 7, "a": 1}, {"a": 2}, {"__row_id": "x", "a": 3})))
    assert found.keys == ["7", None, "x"]
    assert list(found.columns) == ["a"]


def test_unicode_line_ends_do_not_end_a_line(read: Read, write: Write) -> None:
    text = "a\u2028b\u0085c\u000bd"
    assert read(write("a.jsonl", json.dumps({"a": text}, ensure_ascii=False) + "\n")).columns == {"a": [text]}


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ('{"a": 1', None, r"is broken JSON \(Expecting ',' delimiter"),
        ("nonsense", None, "is broken JSON"),
        ("[1]", None, "is a list, not a JSON object"),
        ("3", None, "is a number, not a JSON object"),
        ("null", None, "is null, not a JSON object"),
        ('{"a": 1, "a": 2}', None, "has the key 'a' twice in one object"),
        ('{"l": [{"a": 1, "a": 2}]}', None, "has the key 'a' twice in one object"),
        ('{"a": "x\\u0000y"}', "a", "holds a NUL character"),
        ('{"a": "x\\ud800y"}', "a", r"holds a lone surrogate \(U\+D800\)"),
        ('{"a": ["\\udfff"]}', "a", r"holds a lone surrogate \(U\+DFFF\)"),
        ('{"\\u0000": 1}', None, "has the key '.x00', which holds a NUL"),
        ('{"": 1}', None, "has an empty key"),
        ('{"o": {" ": 1}}', "o", "has an empty key"),
        ('{"__row_id": {"x": 1}, "a": 1}', "__row_id", "is no plain value"),
        ('{"a": "x\ty"}', None, "is broken JSON"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", None, "is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", None, "cannot be read: Exceeds the limit"),
    ],
)
def test_a_faulty_line_is_refused_or_left_out(
    read: Read, write: Write, line: str, column: str | None, reason: str
) -> None:
    path = write("a.jsonl", f'{{"a": "first"}}\n\n{line}\n{{"a": "last"}}\n')
    where = r"line 3 \(row 1\)" + (f", column {column!r}" if column else "")
    with pytest.raises(SourceError, match=f"{where} {reason}") as error:
        list(open_sources([str(path)]))
    assert error.value.hint
    found = read(path, on_error=OnError.SKIP)
    assert found.columns == {"a": ["first", "last"]}
    assert found.index == [0, 2]
    (rejected,) = found.split.rejected
    assert (rejected.source_index, rejected.line, rejected.column) == (1, 3, column)


def test_bytes_that_are_no_utf8_are_refused_or_left_out(read: Read, write: Write) -> None:
    path = write("a.jsonl", b'{"a": "ok"}\n{"a": "\xe9"}\n')
    with pytest.raises(SourceError, match=r"line 2 \(row 1\) is not UTF-8 \(byte 0xe9, the 8th of its line\)"):
        list(open_sources([str(path)]))
    assert read(path, on_error=OnError.SKIP).columns == {"a": ["ok"]}


def test_surrogate_pairs_written_as_escapes_are_characters(read: Read, write: Write) -> None:
    assert read(write("a.jsonl", '{"a": "\\ud83d\\ude00"}\n')).columns == {"a": ["\U0001f600"]}


def test_a_nul_inside_a_list_stays_an_escape(read: Read, write: Write) -> None:
    assert read(write("a.jsonl", '{"a": ["\\u0000"]}\n')).columns == {"a": ['["\\u0000"]']}


def test_columns_that_only_faulty_rows_have_do_not_exist(read: Read, write: Write) -> None:
    found = read(write("a.jsonl", '{"a": 1}\n{"b": "\\u0000"}\n'), on_error=OnError.SKIP)
    assert list(found.columns) == ["a"]


def test_a_sample_reads_only_its_rows(read: Read, write: Write) -> None:
    path = write("a.jsonl.gz", gzip.compress(b"".join(b"{broken\n" if n % 2 else b'{"n":%d}\n' % n for n in range(8))))
    found = read(path, max_rows=4)
    assert found.index == [0, 2, 4, 6]
    assert found.columns == {"n": ["0", "2", "4", "6"]}
    assert found.split.rows == 8


def test_memory_does_not_grow_with_the_file(write: Write) -> None:
    def peak(rows: int) -> int:
        path = write(f"{rows}.jsonl", lines({"a": "words " * 300, "b": {"c": [1, 2]}}) * rows)
        tracemalloc.start()
        (dataset,) = open_sources([str(path)])
        for _ in dataset.splits[0].batches():
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak(16_000) < 1.3 * peak(6_000)


def test_an_array_of_objects(read: Read, write: Write) -> None:
    rows = [{"a": f'{n} [{{\\" é', "b": {"c": n}} for n in range(3)]
    found = read(write("a.json", "\n" + json.dumps(rows, indent=2, ensure_ascii=False) + "\n"))
    assert found.columns == {"a": [row["a"] for row in rows], "b.c": ["0", "1", "2"]}


def test_an_array_longer_than_the_window(read: Read, write: Write) -> None:
    rows = [{"n": n, "text": "é" * (n % 7) * 30_000} for n in range(60)]
    found = read(write("a.json", json.dumps(rows, ensure_ascii=False)))
    assert found.columns["text"] == [row["text"] for row in rows]
    assert found.columns["n"] == [str(n) for n in range(60)]


def test_faulty_elements_of_an_array_are_rows(read: Read, write: Write) -> None:
    path = write("a.json", '[{"a": 1},\n{"a": 2, "a": 3}, 4,\n{"a": "\\ud800"}, {"a": 5}]')
    with pytest.raises(SourceError, match=r"line 2 \(row 1\) has the key 'a' twice"):
        list(open_sources([str(path)]))
    found = read(path, on_error=OnError.SKIP)
    assert found.columns == {"a": ["1", "5"]}
    assert [(row.source_index, row.line) for row in found.split.rejected] == [(1, 2), (2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"a": 1}\n', "line 1: is no array of objects"),
        ('[{"a": 1}', "line 1: the array is cut off"),
        ('[{"a": 1},\n{"a": ', "line 2: broken JSON"),
        ('[{"a": 1}\n{"a": 2}]', "line 2: a comma is missing"),
        ('[{"a": 1},]', "line 1: a comma stands before the end"),
        ('[{"a": 1}]\n\n[', "line 3: there is text after the end"),
        ("[" * 100_000, "line 1: an element is nested too deeply"),
        ("[]", "there is no row in it"),
    ],
)
def test_a_broken_array_is_a_fault_of_the_file(write: Write, content: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        list(open_sources([str(write("a.json", content))], on_error=OnError.SKIP))
