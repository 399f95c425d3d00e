"""What a load costs: constant memory, a number of statements that does not grow, and the same result at any size."""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from rebase_db.database.copy import copy_in
from rebase_db.ingest import load, match
from rebase_db.ingest.encode import TextIds
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.source import Batch, Column, RejectedRow, SourceDataset, Split
from tests.load.sources import Row, dataset_of, fetch, split_of, stored_rows, stored_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

ROWS: list[Row] = [{"a": f"text {n % 17}", "b": str(n % 5), "c": f"only {n}" if n % 2 else None} for n in range(60)]


@contextmanager
def counted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that are sent, COPY among them."""
    statements: list[str] = []

    def note(*args: Any) -> None:
        statements.append(args[2])

    def copy(connection: Any, table: str, *args: Any) -> None:
        statements.append(f"COPY {table}")
        copy_in(connection, table, *args)

    event.listen(engine, "before_cursor_execute", note)
    with monkeypatch.context() as patch:
        patch.setattr(load, "copy_in", copy)
        yield statements
    event.remove(engine, "before_cursor_execute", note)


def test_statements_do_not_grow_with_rows_or_splits(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, list[int]] = {"new": [], "again": [], "grown": []}
    for rows, splits in ((3, 1), (60, 1), (60, 12)):
        name = f"{rows} rows in {splits} splits"
        source = dataset_of(name, *(split_of(ROWS[:rows], str(place)) for place in range(splits)))
        for kind in ("new", "again"):
            with counted(engine, monkeypatch) as statements:
                load_dataset(engine, source)
            sent[kind].append(len(statements))
        more = dataset_of(name, *source.splits, *(split_of(ROWS[:rows], f"new {place}") for place in range(splits)))
        with counted(engine, monkeypatch) as statements:
            load_dataset(engine, more)
        # Beside asking for texts that may be there, once a batch.
        sent["grown"].append(len(statements) - sum("FROM text" in found for found in statements))
    assert len(set(sent["new"])) == len(set(sent["again"])) == 1, sent
    assert sent["new"][0] <= 22
    assert sent["again"][0] <= 7
    assert len(set(sent["grown"])) == 1, sent


def test_small_memories_give_the_same_database(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def source(name: str, rows: int) -> SourceDataset:
        splits = (split_of(ROWS[:rows], config) for config in ("one", "two"))
        return dataset_of(name, *splits, description="text 3")

    for rows in (25, 60):
        load_dataset(engine, source("usual", rows))
    sizes = [(1, 8 << 20), (7, 8 << 20), (7, 200), (500_000, 1), (500_000, 700)]
    for remembered, flush in sizes:
        monkeypatch.setattr(TextIds, "REMEMBERED", remembered)
        monkeypatch.setattr(load, "BYTES_A_FLUSH", flush)
        name = f"{remembered} remembered, {flush} bytes a flush"
        for rows in (25, 60):
            load_dataset(engine, source(name, rows))
        assert stored_rows(engine, name) == stored_rows(engine, "usual")
        assert stored_texts(engine, name) == stored_texts(engine, "usual")
    for columns, table in (("row_id, column_id, text_id", "cell"), ("ingest_id, texts_added, cells_added", "ingest")):
        query = f"SELECT array_agg(({columns})::text ORDER BY {columns}) FROM {table} GROUP BY dataset_id"  # noqa: S608 - no input
        contents = fetch(engine, query)
        assert len(contents) == 1 + len(sizes)
        assert all(found == contents[0] for found in contents)


def test_statements_for_a_release_do_not_grow_with_rows(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    for rows in (6, 60):
        name = f"{rows} rows"
        load_dataset(engine, dataset_of(name, split_of(ROWS[:rows])))
        with counted(engine, monkeypatch) as statements:
            receipt = load_dataset(engine, dataset_of(name, split_of([{"a": "new"}, *ROWS[2:rows], ROWS[3]])))
        assert (receipt.rows_changed, receipt.rows_unchanged) == (1, rows - 2)
        # Beside asking for texts and contents that may be there, once a batch.
        sent.append(
            [found for found in statements if "FROM text" not in found and "standing_row.content_hash" not in found]
        )
    assert len(sent[0]) == len(sent[1])


def generated(rows: int, release: int = 1) -> SourceDataset:
    """A dataset that exists only while it is read: per row a text of its own, one of a hundred, and a number.

    Another release has other words in one of a hundred rows.
    """

    def read(_: list[RejectedRow]) -> Iterator[Batch]:
        size = 4096
        for first in range(0, rows, size):
            index = list(range(first, min(first + size, rows)))
            cells: list[list[str | None]] = [
                [f"{n} {release if n % 100 == 0 else ''} {'words of its own ' * 10}" for n in index],
                [f"label {n % 100}" for n in index],
                [str(n % 1000) for n in index],
            ]
            yield Batch(index, [None] * len(index), cells)

    columns = tuple(Column(name, "string") for name in ("text", "label", "number"))
    split = Split("default", "train", "test:generated", f"{rows}, {release}", rows, columns, (), read)
    return dataset_of(f"generated {rows}", split)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_source(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextIds, "REMEMBERED", 20_000)
    peaks = []
    for rows in (40_000, 200_000):
        tracemalloc.start()
        try:
            load_dataset(engine, generated(rows))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[0] < 64 << 20
    assert peaks[1] < 1.1 * peaks[0]
    assert fetch(engine, "SELECT last_row_id, last_text_id FROM dataset ORDER BY 1") == [
        (40_000, 41_101),
        (200_000, 201_101),
    ]


@pytest.mark.slow
def test_memory_does_not_grow_with_a_release(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextIds, "REMEMBERED", 10_000)
    monkeypatch.setattr(match, "BYTES_A_FLUSH", 1 << 20)
    peaks = []
    for rows in (20_000, 100_000):
        load_dataset(engine, generated(rows))
        tracemalloc.start()
        try:
            receipt = load_dataset(engine, generated(rows, 2))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert (receipt.rows_changed, receipt.rows_unchanged, receipt.texts_added) == (
            rows // 100, rows - rows // 100, rows // 100,
        )  # fmt: skip
    assert peaks[0] < 64 << 20
    assert peaks[1] < 1.1 * peaks[0]
