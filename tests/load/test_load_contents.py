"""What a load stores is what the source has."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rebase_db import __version__
from rebase_db.errors import SourceError
from rebase_db.hashing import content_hash
from rebase_db.ingest import limits
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.ingest.source import LeftOutColumn, RejectedRow
from tests.load.sources import Row, counts, dataset_of, fetch, split_of, stored_rows, stored_texts

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from rebase_db.ingest.source import SourceDataset

ODD = [
    "plain",
    "",
    " ",
    "line\nend\r\n",
    'quote " and backslash \\',
    "\\N",
    "\x01\x1f\x7f\x85\u2028",
    "😀 日本語 \u0301",
    "{}",
    "null",
    "x" * 80_000,
]


def test_rows_cells_and_keys_are_stored_to_the_letter(engine: Engine) -> None:
    train: list[Row] = [{"text": value, "label": str(place % 2)} for place, value in enumerate(ODD)]
    train[1]["label"] = None
    test: list[Row] = [{"text": None, "label": None}, {"text": "only here", "label": "1"}]
    keys = [f"key {place}" if place else None for place in range(len(train))]
    receipt = load_dataset(
        engine,
        dataset_of("odd", split_of(train, keys=keys), split_of(test, split="test"), description="Odd things."),
    )
    found = stored_rows(engine, "odd")
    assert [(row.config, row.split, row.source_index, row.source_key) for row in found] == [
        *(("default", "train", place, key) for place, key in enumerate(keys)),
        ("default", "test", 0, None),
        ("default", "test", 1, None),
    ]
    expected = [{name: value for name, value in row.items() if value is not None} for row in train + test]
    assert [row.cells for row in found] == expected
    assert [row.content for row in found] == expected
    assert [row.content_hash for row in found] == [content_hash("source_row/v1", row) for row in expected]
    assert receipt.rows_added == len(found)
    assert receipt.cells_added == sum(map(len, expected))
    assert receipt.texts_added == len(stored_texts(engine, "odd"))


def test_a_text_is_stored_once_in_all_splits_of_a_dataset_and_again_in_another(engine: Engine) -> None:
    rows: list[Row] = [{"a": "same", "b": "same"}, {"a": "other", "b": "Odd."}, {"a": "same", "b": "other"}]
    for name in ("one", "two"):
        load_dataset(engine, dataset_of(name, split_of(rows), split_of(rows, split="test"), description="Odd."))
        texts = stored_texts(engine, name)
        assert texts[0] == "Odd."  # which is a cell, too
        assert sorted(texts[1:]) == ["other", "same"]
    digests = fetch(engine, "SELECT sha256, text FROM text")
    assert all(bytes(digest) == hashlib.sha256(value.encode()).digest() for digest, value in digests)


def test_text_ids_depend_on_the_source_alone(engine: Engine) -> None:
    rows: list[Row] = [{"a": f"a{n}", "b": f"b{n}" if n else "a0"} for n in range(20)]
    load_dataset(engine, dataset_of("d", split_of(rows), description="D."))
    # As they come, column by column of a batch of three; a set would give them in an order of the process's own.
    batches = [rows[first : first + 3] for first in range(0, 20, 3)]
    expected = dict.fromkeys(row[name] for batch in batches for name in ("a", "b") for row in batch)
    assert stored_texts(engine, "d") == ["D.", *expected]


def test_a_hash_depends_on_content_alone(engine: Engine) -> None:
    load_dataset(engine, dataset_of("one", split_of([{"a": "1", "b": "2"}, {"a": "1", "b": None}])))
    load_dataset(engine, dataset_of("two", split_of([{"b": "2", "a": "1"}, {"a": "1"}], "other")))
    assert [row.content_hash for row in stored_rows(engine, "one")] == [
        row.content_hash for row in stored_rows(engine, "two")
    ]


def test_the_description_is_text_1_given_or_derived(engine: Engine) -> None:
    splits = split_of([{"question": "q", "answer": "a"}]), split_of([{"hint": "h"}], "other")
    load_dataset(engine, dataset_of("facts", *splits))
    load_dataset(engine, dataset_of("told", *splits, description="Said by its owner."))
    assert fetch(
        engine,
        "SELECT name, description_given, text_id, text.text FROM dataset JOIN text"
        " ON text.dataset_id = dataset.dataset_id AND text.text_id = description_text_id ORDER BY name",
    ) == [("facts", False, 1, "facts: question, answer, hint"), ("told", True, 1, "Said by its owner.")]


def test_columns_and_splits_are_recorded_with_what_was_left_out(engine: Engine, tmp_path: Path) -> None:
    for config, columns in (
        ("first", {"name": pa.array(["x"]), "picture": pa.array([b"\xff"]), "count": pa.array([7])}),
        ("second", {"count": pa.array([[1, 2]]), "name": pa.array(["y"])}),
    ):
        path = tmp_path / "mixed" / f"{config}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), path)
    (source,) = open_sources([str(tmp_path / "mixed")], licence="CC0-1.0")
    receipt = load_dataset(engine, source, max_rows=None)
    (reason,) = [why for name, why in receipt.left_out if name == "picture"]
    assert [name for name, _ in receipt.left_out] == ["picture"]
    assert fetch(
        engine,
        "SELECT config, split, position, name, source_type, left_out FROM ingest_column"
        " JOIN dataset_split USING (dataset_id, split_id) JOIN dataset_column USING (dataset_id, column_id)"
        " ORDER BY config, position",
    ) == [
        ("first", "train", 0, "name", "string", None),
        ("first", "train", 1, "count", "int64", None),
        ("first", "train", 2, "picture", "", reason),
        ("second", "train", 0, "count", source.splits[1].columns[0].source_type, None),
        ("second", "train", 1, "name", "string", None),
    ]
    assert fetch(engine, "SELECT uri, config FROM dataset_split ORDER BY config") == [
        (split.uri, split.config) for split in source.splits
    ]
    assert fetch(engine, "SELECT name, uri, licence FROM dataset") == [("mixed", source.uri, "CC0-1.0")]
    assert [row.cells for row in stored_rows(engine, "mixed")] == [
        {"name": "x", "count": "7"},
        {"count": "[1,2]", "name": "y"},
    ]


def test_a_load_is_recorded_with_its_revisions_and_counts(engine: Engine) -> None:
    source = dataset_of("d", split_of([{"a": "x"}, {"a": "y"}], revision="r1"), split_of([{"a": "x"}], "b"))
    load_dataset(engine, source, max_rows=5)
    assert fetch(engine, "SELECT ingest_id, texts_added, cells_added, code_version FROM ingest") == [
        (1, 3, 3, __version__)
    ]
    assert fetch(
        engine,
        "SELECT config, revision, max_rows, rows_in_source, rows_added, rows_unchanged, rows_rejected"
        " FROM ingest_split JOIN dataset_split USING (dataset_id, split_id) ORDER BY config",
    ) == [("b", source.splits[1].revision, 5, None, 1, 0, 0), ("default", "r1", 5, None, 2, 0, 0)]


def test_rejected_rows_are_recorded(engine: Engine) -> None:
    rejected = [
        RejectedRow("test:", 1, 3, "a", "holds a NUL character"),
        RejectedRow("test:", 4, None, None, "is torn"),
    ]
    split = split_of([{"a": "x"}, {"a": "y"}], index=[0, 2], rejected=rejected)
    receipt = load_dataset(engine, dataset_of("d", split))
    assert receipt.rejected == rejected
    assert fetch(
        engine, "SELECT source_index, line, column_name, reason FROM ingest_rejection ORDER BY source_index"
    ) == [(1, 3, "a", "holds a NUL character"), (4, None, None, "is torn")]
    assert fetch(engine, "SELECT rows_added, rows_rejected FROM ingest_split") == [(2, 2)]
    assert [row.source_index for row in stored_rows(engine, "d")] == [0, 2]


def test_progress_counts_rows_batch_by_batch(engine: Engine) -> None:
    told: list[int] = []
    load_dataset(engine, dataset_of("d", split_of([{"a": str(n)} for n in range(7)])), on_rows=told.append)
    assert told == [3, 3, 1]


def test_a_dataset_whose_words_cannot_be_stored_is_refused(engine: Engine) -> None:
    for name, description, licence, what in (
        ("a\0b", "", "", "name holds a NUL"),
        ("\udce9", "", "", "name holds a lone surrogate"),
        ("d", "a\0b", "", "description holds a NUL"),
        ("d", "\ud800", "", "description holds a lone surrogate"),
        ("d", "", "\0", "licence holds a NUL"),
        ("n" * 1001, "", "", "dataset's name 'n+'… is longer than 1,000 bytes"),
    ):
        source = dataset_of(name, split_of([{"a": "x"}]), description=description, licence=licence)
        with pytest.raises(SourceError, match=what):
            load_dataset(engine, source)
    assert not any(counts(engine).values())


def test_names_too_long_for_an_index_are_refused(engine: Engine) -> None:
    def named(what: str, name: str) -> SourceDataset:
        names = {"config": "c", "split": "s", "column": "a"} | {what: name}
        return dataset_of(what, split_of([{names["column"]: "x"}], names["config"], names["split"]))

    for what in ("config", "split", "column"):
        with pytest.raises(SourceError, match=rf"the {what} 'é+'… is longer than 1,000 bytes"):
            load_dataset(engine, named(what, "é" * 501))
        assert load_dataset(engine, named(what, "é" * 500)).rows_added == 1


def test_more_columns_or_splits_than_can_be_numbered_are_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_NUMBERED", 3)
    splits = [split_of([{"a": "x"}], str(place)) for place in range(4)]
    with pytest.raises(SourceError, match="would have 4 splits; 3 is the most"):
        load_dataset(engine, dataset_of("d", *splits))
    load_dataset(engine, dataset_of("d", split_of([{"a": "x", "b": "x"}])))
    with pytest.raises(SourceError, match="would have 4 columns; 3 is the most"):
        load_dataset(engine, dataset_of("d", split_of([{"c": "x"}], "second"), split_of([{"d": "x"}], "third")))
    assert len(stored_rows(engine, "d")) == 1


def test_left_out_columns_are_counted_once_a_split(engine: Engine) -> None:
    left_out = [LeftOutColumn("sound", "is binary")]
    source = dataset_of("d", *(split_of([{"a": "x"}], name, left_out=left_out) for name in ("one", "two")))
    assert load_dataset(engine, source).left_out == [("sound", "is binary")] * 2
    assert fetch(engine, "SELECT count(*) FROM ingest_column WHERE left_out = 'is binary'") == [(2,)]
