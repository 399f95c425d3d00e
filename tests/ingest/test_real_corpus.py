"""The corpus and the further datasets of the folder that REBASE_TEST_DATA names, against other readers."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from rebase_db.ingest.open import open_sources

if TYPE_CHECKING:
    from collections.abc import Callable

    ReadSplit = Callable[..., Any]
    Read = Callable[..., Any]

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("REBASE_TEST_DATA" not in os.environ, reason="REBASE_TEST_DATA names no folder"),
]


@pytest.fixture
def data() -> Path:
    return Path(os.environ["REBASE_TEST_DATA"])


def test_the_corpus_is_read_whole_and_to_the_letter(data: Path, read_split: ReadSplit) -> None:
    corpus = data / "corpus"
    stated = {
        (row["dataset_id"], row["config_id"]): row
        for row in map(json.loads, (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
    }
    descriptions = json.loads((corpus / "descriptions.json").read_text(encoding="utf-8"))
    counts = Counter[str]()
    texts = hashlib.sha256()
    expected_texts = hashlib.sha256()
    for dataset in open_sources([str(corpus)]):
        counts["datasets"] += 1
        assert dataset.description == descriptions.get(dataset.name, "")
        for split in dataset.splits:
            entry = stated.pop((dataset.name, split.config))
            path = corpus / entry["path"]
            assert split.uri == path.as_uri()
            assert split.revision == hashlib.sha256(path.read_bytes()).hexdigest()
            assert split.split == "train"
            index, keys, columns = read_split(split)
            table = pq.read_table(path).to_pydict()
            assert keys == table.pop("__row_id")
            assert columns == table
            assert index == list(range(entry["rows"]))
            assert list(columns) == entry["columns"]
            for digest, cells in ((texts, columns), (expected_texts, table)):
                digest.update(repr(cells).encode(errors="surrogatepass"))
            counts["splits"] += 1
            counts["rows"] += len(index)
            counts["cells"] += sum(len(column) - column.count(None) for column in columns.values())
    assert not stated
    assert counts == {"datasets": 224, "splits": 390, "rows": 37_648, "cells": 266_488}
    assert texts.digest() == expected_texts.digest()


def test_a_sample_of_the_corpus_has_true_indexes(data: Path, read_split: ReadSplit) -> None:
    for dataset in open_sources([str(data / "corpus" / "ai2_arc")], max_rows=100):
        for split in dataset.splits:
            index, keys, _ = read_split(split)
            assert split.rows is not None
            assert index == [i * split.rows // 100 for i in range(100)]
            everything = pq.read_table(split.uri.removeprefix("file://"))["__row_id"].to_pylist()
            assert keys == [everything[row] for row in index]


def test_every_further_file_reads_as_another_reader_reads_it(data: Path, read: Read) -> None:
    files = sorted(path for path in (data / "extra").rglob("*") if path.is_file())
    assert files
    for path in files:
        found = read(path, name=path.parent.name, split=path.stem)
        expected = _expected(path)
        assert found.columns == expected
        assert found.index == list(range(len(found.keys)))


def test_the_further_folder_is_a_tree_of_datasets(data: Path) -> None:
    names = [dataset.name for dataset in open_sources([str(data / "extra")])]
    assert "versions/jnli_valid" in names
    assert len(names) == len({path.parent for path in (data / "extra").rglob("*.*")})


def _expected(path: Path) -> dict[str, list[str | None]]:
    """The columns as text, by the standard library and Arrow."""
    if path.suffix in {".csv", ".tsv"}:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle, delimiter="\t" if path.suffix == ".tsv" else ","))
        return {name: [row[name] for row in rows] for name in rows[0]}
    if path.suffix == ".parquet":
        objects = pq.read_table(path).to_pylist()
    else:
        objects = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return {name: [_text(row[name]) for row in objects] for name in objects[0]}


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
