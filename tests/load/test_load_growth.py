"""Loading again: what is there stays, what is new is added, what changed is seen, and nothing is ever half there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rebase_db.errors import SourceError
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.ingest.source import OnError, RejectedRow
from tests.load.sources import Row, counts, dataset_of, fetch, split_of, stored_rows, stored_texts

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from rebase_db.ingest.receipt import Receipt

ROWS: list[Row] = [{"a": f"text {n}", "b": str(n % 3)} for n in range(10)]


def write(path: Path, rows: list[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def load(engine: Engine, *paths: Path, max_rows: int | None = None, on_error: OnError = OnError.FAIL) -> list[Receipt]:
    sources = open_sources([str(path) for path in paths], max_rows=max_rows, on_error=on_error)
    return [load_dataset(engine, source, max_rows=max_rows) for source in sources]


def test_the_same_source_again_adds_nothing(engine: Engine, tmp_path: Path) -> None:
    for max_rows in (None, 4, 10, 99):
        path = write(tmp_path / f"{max_rows}.jsonl", ROWS)
        load(engine, path, max_rows=max_rows)
        before = counts(engine), fetch(engine, "SELECT * FROM dataset ORDER BY 1")
        (receipt,) = load(engine, path, max_rows=max_rows)
        assert (counts(engine), fetch(engine, "SELECT * FROM dataset ORDER BY 1")) == before
        assert (receipt.splits, receipt.rows_added, receipt.texts_added, receipt.cells_added) == (0, 0, 0, 0)
        assert receipt.rows_unchanged == min(max_rows or 10, 10)


def test_the_same_rows_in_other_bytes_add_nothing(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    load(engine, write(path, ROWS))
    before = counts(engine)
    path.write_text("".join(json.dumps(dict(reversed(row.items())), indent=None) + "\n\n" for row in ROWS))
    (receipt,) = load(engine, path)
    assert (receipt.rows_added, receipt.rows_unchanged) == (0, 10)
    assert counts(engine) == before


def test_a_source_with_rejected_rows_again_adds_nothing(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", ROWS)
    with path.open("a") as handle:
        handle.write('{"a": broken}\n')
    load(engine, path, on_error=OnError.SKIP)
    before = counts(engine)
    assert before["ingest_rejection"] == 1
    (receipt,) = load(engine, path, on_error=OnError.SKIP)
    assert (receipt.rows_added, receipt.rows_unchanged, len(receipt.rejected)) == (0, 10, 1)
    assert counts(engine) == before


def test_a_grown_file_adds_its_new_rows(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    load(engine, write(path, ROWS[:4]))
    first = stored_rows(engine, "d")
    (receipt,) = load(engine, write(path, ROWS))
    found = stored_rows(engine, "d")
    assert found[:4] == first
    assert [row.cells for row in found] == ROWS
    assert [row.source_index for row in found] == list(range(10))
    assert (receipt.rows_added, receipt.rows_unchanged) == (6, 4)
    assert receipt.texts_added == 6  # the digits were there
    assert receipt.cells_added == 12
    assert fetch(engine, "SELECT ingest_id, count(*) FROM source_row GROUP BY 1 ORDER BY 1") == [(1, 4), (2, 6)]
    assert fetch(engine, "SELECT rows_added, rows_unchanged FROM ingest_split ORDER BY ingest_id") == [(4, 0), (6, 4)]
    assert fetch(engine, "SELECT texts_added, cells_added FROM ingest ORDER BY ingest_id") == [(8, 8), (6, 12)]
    assert len(set(stored_texts(engine, "d"))) == len(stored_texts(engine, "d")) == 14


def test_a_larger_sample_adds_the_rows_between(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", ROWS)
    load(engine, path, max_rows=2)
    assert [row.source_index for row in stored_rows(engine, "d")] == [0, 5]
    (receipt,) = load(engine, path, max_rows=4)
    assert (receipt.rows_added, receipt.rows_unchanged) == (2, 2)
    (receipt,) = load(engine, path)
    assert (receipt.rows_added, receipt.rows_unchanged) == (6, 4)
    found = sorted(stored_rows(engine, "d"), key=lambda row: row.source_index)
    assert [row.cells for row in found] == ROWS
    (receipt,) = load(engine, path, max_rows=3)  # another sample, of rows that are all there
    assert (receipt.rows_added, receipt.rows_unchanged) == (0, 3)
    assert counts(engine)["ingest"] == 3


def test_a_grown_file_under_a_cap_adds_only_new_rows(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    load(engine, write(path, ROWS[:6]), max_rows=3)
    assert [row.source_index for row in stored_rows(engine, "d")] == [0, 2, 4]
    (receipt,) = load(engine, write(path, ROWS), max_rows=3)  # every third row now
    assert (receipt.rows_added, receipt.rows_unchanged) == (2, 1)
    assert [row.source_index for row in stored_rows(engine, "d")] == [0, 2, 4, 3, 6]
    assert [row.cells for row in stored_rows(engine, "d")] == [ROWS[place] for place in (0, 2, 4, 3, 6)]


def test_a_column_that_appears_later_changes_no_row(engine: Engine) -> None:
    load_dataset(engine, dataset_of("d", split_of([{"a": "x"}, {"a": "y"}])))
    receipt = load_dataset(engine, dataset_of("d", split_of([{"a": "x"}, {"a": "y"}, {"z": "1", "a": "w"}])))
    assert (receipt.rows_added, receipt.rows_unchanged) == (1, 2)
    assert [row.cells for row in stored_rows(engine, "d")] == [{"a": "x"}, {"a": "y"}, {"a": "w", "z": "1"}]
    assert fetch(engine, "SELECT column_id, name FROM dataset_column ORDER BY 1") == [(1, "a"), (2, "z")]


def test_new_splits_of_a_known_dataset_share_its_texts_and_columns(engine: Engine) -> None:
    load_dataset(engine, dataset_of("d", split_of([{"a": "x"}]), description="First."))
    receipt = load_dataset(engine, dataset_of("d", split_of([{"b": "x", "a": "y"}], "more"), description="Second."))
    assert (receipt.splits, receipt.texts_added) == (1, 1)
    assert stored_texts(engine, "d") == ["First.", "x", "y"]  # what it was described as stands
    assert fetch(engine, "SELECT column_id, name FROM dataset_column ORDER BY 1") == [(1, "a"), (2, "b")]
    assert fetch(engine, "SELECT split_id, config FROM dataset_split ORDER BY 1") == [(1, "default"), (2, "more")]


def test_a_licence_learnt_later_is_noted_and_never_replaced(engine: Engine) -> None:
    split = split_of([{"a": "x"}])
    for licence, expected in (("", None), ("MIT", "MIT"), ("GPL-3.0", "MIT"), ("", "MIT")):
        load_dataset(engine, dataset_of("d", split, licence=licence))
        assert fetch(engine, "SELECT licence FROM dataset") == [(expected,)]
    load_dataset(engine, dataset_of("e", split))
    load_dataset(engine, dataset_of("e", split, split_of([{"a": "y"}], "more"), licence="MIT"))
    assert fetch(engine, "SELECT licence FROM dataset WHERE name = 'e'") == [("MIT",)]
    assert counts(engine)["ingest"] == 3


def test_every_kind_of_change_is_seen(engine: Engine) -> None:
    load_dataset(engine, dataset_of("d", split_of([{"a": "x", "b": "y"}])))
    changes: list[Row] = [
        {"a": "x", "b": ""},
        {"a": "x"},
        {"a": "x", "b": "y", "c": "new"},
        {"a": "y", "b": "x"},
        {"a": "x ", "b": "y"},
    ]
    for changed in changes:
        receipt = load_dataset(engine, dataset_of("d", split_of([changed])), match="index")
        assert (receipt.rows_added, receipt.rows_changed, receipt.rows_unchanged) == (0, 1, 0)
        assert stored_rows(engine, "d")[-1].cells == changed
    removed = "SELECT count(removed_at) FROM source_row"
    assert fetch(engine, removed) == [(len(changes),)]


@pytest.mark.parametrize("known", [False, True])
def test_a_failing_split_loads_nothing_of_its_dataset(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    def fail(batch: int) -> None:
        if batch == 2:
            raise SourceError("the second half is damaged.")

    if known:
        load_dataset(engine, dataset_of("d", split_of(ROWS[:2], "known")))
    load_dataset(engine, dataset_of("earlier", split_of(ROWS)))
    before = counts(engine), fetch(engine, "SELECT * FROM dataset ORDER BY 1")
    for flush in (1, 8 << 20):
        monkeypatch.setattr("rebase_db.ingest.load.BYTES_A_FLUSH", flush)
        with pytest.raises(SourceError, match="second half"):
            load_dataset(engine, dataset_of("d", split_of(ROWS), split_of(ROWS, "broken", before_batch=fail)))
        assert (counts(engine), fetch(engine, "SELECT * FROM dataset ORDER BY 1")) == before
    load_dataset(engine, dataset_of("d", split_of(ROWS), split_of(ROWS, "broken")))
    assert [row.cells for row in stored_rows(engine, "d")] == (ROWS[:2] if known else []) + ROWS + ROWS


def test_a_failing_dataset_leaves_the_earlier_ones(engine: Engine, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / "tree" / name / "default.jsonl", ROWS)
    with (tmp_path / "tree" / "b" / "default.jsonl").open("a") as handle:
        handle.write("{\n")
    with pytest.raises(SourceError, match="line 11"):
        load(engine, tmp_path / "tree")
    assert fetch(engine, "SELECT name, last_row_id FROM dataset") == [("a", 10)]
    receipts = load(engine, tmp_path / "tree", on_error=OnError.SKIP)
    assert [(receipt.dataset, receipt.rows_added, len(receipt.rejected)) for receipt in receipts] == [
        ("a", 0, 0),
        ("b", 10, 1),
        ("c", 10, 0),
    ]


def test_a_row_mended_after_it_was_rejected_is_added(engine: Engine) -> None:
    rejected = [RejectedRow("test:", 1, 2, None, "is torn")]
    load_dataset(engine, dataset_of("d", split_of([ROWS[0], ROWS[2]], index=[0, 2], rejected=rejected)))
    receipt = load_dataset(engine, dataset_of("d", split_of(ROWS[:3])))
    assert (receipt.rows_added, receipt.rows_unchanged) == (1, 2)
    assert [(row.source_index, row.cells) for row in stored_rows(engine, "d")] == [
        (0, ROWS[0]), (2, ROWS[2]), (1, ROWS[1]),
    ]  # fmt: skip
