"""The whole corpus, in the database, against its Parquet files as Arrow reads them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from rebase_db.hashing import content_hash
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from tests.load.sources import counts, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.conftest import LoadedCorpus

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


def manifest(real_data: Path) -> list[dict[str, str]]:
    lines = (real_data / "corpus" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_every_row_is_there_to_the_letter(loaded: LoadedCorpus, real_data: Path) -> None:
    expected: dict[tuple[str, str], list[tuple[int, str, dict[str, str]]]] = {}
    for entry in manifest(real_data):
        rows = pq.read_table(real_data / "corpus" / entry["path"]).to_pylist()
        expected[entry["dataset_id"], entry["config_id"]] = [
            (place, row.pop("__row_id"), {name: value for name, value in row.items() if value is not None})
            for place, row in enumerate(rows)
        ]
    found: dict[tuple[str, str], list[tuple[int, str, dict[str, str]]]] = {}
    for dataset, config, place, key, content, digest in fetch(
        loaded.engine,
        "SELECT dataset.name, config, source_index, source_key, content, content_hash FROM source_row"
        " JOIN dataset USING (dataset_id) JOIN dataset_split USING (dataset_id, split_id)"
        " ORDER BY dataset_id, split_id, source_index",
    ):
        assert bytes(digest) == content_hash("source_row/v1", content)
        found.setdefault((dataset, config), []).append((place, key, content))
    assert found.keys() == expected.keys()
    assert all(found[split] == rows for split, rows in expected.items())
    assert len(expected) == 390
    assert sum(map(len, expected.values())) == 37_648


def test_cells_are_the_rows_taken_apart(loaded: LoadedCorpus) -> None:
    # Row by row, the cells put together again are the row's content; the rows themselves are compared above.
    differing = fetch(
        loaded.engine,
        """
        SELECT count(*), coalesce(sum(cells), 0) FROM (
            SELECT content, jsonb_object_agg(name, text.text) FILTER (WHERE name IS NOT NULL) AS cell_content,
                count(name) AS cells
            FROM source_row
            LEFT JOIN cell USING (dataset_id, row_id)
            LEFT JOIN dataset_column USING (dataset_id, column_id)
            LEFT JOIN text USING (dataset_id, text_id)
            GROUP BY dataset_id, row_id
        ) AS taken_apart
        WHERE content IS NOT DISTINCT FROM coalesce(cell_content, '{}')
        """,
    )
    assert differing == [(37_648, 266_488)]


def test_texts_are_the_distinct_cells_and_descriptions(loaded: LoadedCorpus, real_data: Path) -> None:
    described = json.loads((real_data / "corpus" / "descriptions.json").read_text(encoding="utf-8"))
    expected: dict[str, set[str]] = {}
    columns: dict[str, dict[str, None]] = {}
    for entry in manifest(real_data):
        table = pq.read_table(real_data / "corpus" / entry["path"]).drop_columns(["__row_id"])
        texts = expected.setdefault(entry["dataset_id"], set())
        columns.setdefault(entry["dataset_id"], {}).update(dict.fromkeys(table.column_names))
        texts.update(value for column in table.to_pydict().values() for value in column if value is not None)
    assert sum(map(len, expected.values())) == 118_946
    found: dict[str, set[str]] = {}
    descriptions: dict[str, tuple[str, bool]] = {}
    total = 0
    for name, text_id, digest, value, given in fetch(
        loaded.engine,
        "SELECT name, text_id, sha256, text.text, description_given FROM text JOIN dataset USING (dataset_id)",
    ):
        total += 1
        assert bytes(digest) == hashlib.sha256(value.encode()).digest()
        found.setdefault(name, set()).add(value)
        if text_id == 1:
            descriptions[name] = value, given
    assert descriptions == {
        name: (described[name], True) if described.get(name) else (f"{name}: {', '.join(columns[name])}", False)
        for name in expected
    }
    for name, texts in expected.items():
        assert found.pop(name) == texts | {descriptions[name][0]}
    assert not found
    assert total == sum(len(texts | {descriptions[name][0]}) for name, texts in expected.items())


def test_counts_agree_everywhere(loaded: LoadedCorpus, real_data: Path) -> None:
    stated = json.loads((real_data / "corpus" / "stats.json").read_text(encoding="utf-8"))
    there = counts(loaded.engine)
    assert (there["dataset"], there["dataset_split"], there["ingest_split"]) == (stated["datasets"], 390, 390)
    assert (there["source_row"], there["cell"]) == (stated["rows"], stated["cells"]) == (37_648, 266_488)
    assert (there["ingest"], there["ingest_rejection"]) == (224, 0)
    said = Counter[str]()
    for receipt in loaded.receipts:
        said.update(
            rows=receipt.rows_added, cells=receipt.cells_added, texts=receipt.texts_added, splits=receipt.splits
        )
        assert (receipt.rows_unchanged, receipt.rejected, receipt.left_out) == (0, [], [])
    assert said == {"rows": 37_648, "cells": 266_488, "texts": there["text"], "splits": 390}
    assert fetch(
        loaded.engine,
        "SELECT sum(last_row_id), sum(last_text_id), (SELECT sum(cells_added) FROM ingest),"
        " (SELECT sum(rows_added) FROM ingest_split) FROM dataset",
    ) == [(37_648, there["text"], 266_488, 37_648)]
    assert fetch(loaded.engine, "SELECT max(length(text)) FROM text") == [(80_122,)]
    assert fetch(
        loaded.engine,
        "SELECT max(columns) FROM (SELECT count(*) AS columns FROM ingest_column GROUP BY dataset_id, split_id)",
    ) == [(671,)]


def test_the_corpus_again_adds_nothing(loaded: LoadedCorpus, real_data: Path) -> None:
    before = counts(loaded.engine)
    receipts = [load_dataset(loaded.engine, source) for source in open_sources([str(real_data / "corpus")])]
    assert counts(loaded.engine) == before
    assert sum(receipt.rows_unchanged for receipt in receipts) == 37_648
    assert not any(receipt.rows_added or receipt.splits for receipt in receipts)
