from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rebase_db.errors import TaskError
from rebase_db.evaluate.benchmark_file import BenchmarkItem, read_benchmark

if TYPE_CHECKING:
    from pathlib import Path


def _write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


def test_items_keep_file_order_ids_and_texts(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "animals.jsonl",
        '{"id": "b", "input": " A dog barks. ", "output": "dog", "note": {"any": ["thing"]}}',
        "",
        '{"id": 7, "input": "\u00c9in Hund\\nbellt", "output": "Hund"}\r',
        '{"input": "miaow", "output": "cat"}',
        "",
    )
    benchmark = read_benchmark(path)
    assert benchmark.name == "animals"
    assert benchmark.items == (
        BenchmarkItem("b", 1, " A dog barks. ", "dog"),
        BenchmarkItem("7", 2, "\u00c9in Hund\nbellt", "Hund"),
        BenchmarkItem("3", 3, "miaow", "cat"),
    )


def test_the_hash_is_over_keys_inputs_and_outputs_alone(tmp_path: Path) -> None:
    plain = read_benchmark(_write(tmp_path / "a.jsonl", '{"id": "1", "input": "x", "output": "y"}'))
    dressed = read_benchmark(
        _write(tmp_path / "b.jsonl", b'\xef\xbb\xbf{"output":"y",  "input":"x", "id": 1, "more": 0}', "")
    )
    other = read_benchmark(_write(tmp_path / "c.jsonl", '{"id": "1", "input": "x", "output": "z"}'))
    assert len(plain.content_hash) == 32
    assert plain.content_hash == dressed.content_hash
    assert plain.content_hash != other.content_hash


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"input": "x", "output": "y"', "not JSON"),
        (b'{"input": "\xff", "output": "y"}', "not UTF-8 (byte 12)"),
        ('["x", "y"]', "a JSON list, not an object"),
        ("null", "a JSON null, not an object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"input": "x"}', "`output` is missing"),
        ('{"output": "y"}', "`input` is missing"),
        ('{"input": 5, "output": "y"}', "`input` is not text"),
        ('{"input": "x", "output": "  "}', "`output` is blank"),
        ('{"input": "x\\u0000", "output": "y"}', "`input` holds a NUL"),
        ('{"input": "x", "output": "\\ud800"}', "`output` holds a NUL or half"),
        ('{"id": "\\udc00", "input": "x", "output": "y"}', "`id` holds a NUL or half"),
        ('{"id": true, "input": "x", "output": "y"}', "`id` is neither text nor a whole number"),
        ('{"id": 1.5, "input": "x", "output": "y"}', "`id` is neither text nor a whole number"),
    ],
)
def test_a_bad_line_is_refused_with_file_line_and_reason(tmp_path: Path, line: str | bytes, reason: str) -> None:
    path = _write(tmp_path / "bad.jsonl", '{"input": "fine", "output": "fine"}', "", line)
    with pytest.raises(TaskError) as caught:
        read_benchmark(path)
    assert caught.value.message.startswith(f"{path}, line 3: ")
    assert reason in caught.value.message
    assert "input" in caught.value.hint


@pytest.mark.parametrize("second", ['{"id": "a"', '{"id": 1'])
def test_an_id_given_twice_is_refused_with_both_lines(tmp_path: Path, second: str) -> None:
    rest = ', "input": "x", "output": "y"}'
    path = _write(tmp_path / "twice.jsonl", '{"input": "x", "output": "y"}', '{"id": "a"' + rest, second + rest)
    with pytest.raises(TaskError, match=r"line 3: the id '.' is that of line [12] already"):
        read_benchmark(path)


def test_a_missing_an_unreadable_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"none\.jsonl cannot be read: No such file"):
        read_benchmark(tmp_path / "none.jsonl")
    with pytest.raises(TaskError, match="cannot be read: Is a directory"):
        read_benchmark(tmp_path)
    with pytest.raises(TaskError, match="holds no item"):
        read_benchmark(_write(tmp_path / "empty.jsonl", "", "  ", ""))


@pytest.mark.real_data
def test_real_benchmarks_are_read_whole(real_data: Path) -> None:
    path = real_data / "eval" / "mnli_dev_matched_3000.jsonl"
    benchmark = read_benchmark(path)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(item.item_key, item.input, item.output) for item in benchmark.items] == [
        (line["id"], line["input"], line["output"]) for line in lines
    ]
