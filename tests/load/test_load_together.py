"""Two loads into one dataset at the same time take turns, and ids stay dense whoever was first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db.errors import SourceError
from rebase_db.ingest.load import load_dataset
from tests.load.sources import Row, counts, dataset_of, fetch, split_of, stored_rows, stored_texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

ROWS: list[Row] = [{"a": f"text {n}", "b": str(n % 3)} for n in range(10)]
MORE: list[Row] = [{"a": f"text {n}", "c": str(n)} for n in range(5, 12)]

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def until_another_waits(engine: Engine) -> Callable[[int], None]:
    """Called in the middle of a load, comes back when another session waits for a lock."""

    def wait(batch: int) -> None:
        if batch != 1:
            return
        pause = threading.Event()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for _ in range(1000):
                if connection.execute(text(WAITING)).scalar_one():
                    return
                pause.wait(0.01)
        raise AssertionError("the other load never waited")

    return wait


@pytest.mark.parametrize("known", [False, True])
def test_splits_loaded_at_once_both_go_in(
    engine: Engine, until_another_waits: Callable[[int], None], known: bool
) -> None:
    if known:
        load_dataset(engine, dataset_of("d", split_of(ROWS[:1], "known"), description="D."))
    reading = threading.Event()

    def started(batch: int) -> None:
        reading.set()
        until_another_waits(batch)

    first = dataset_of("d", split_of(ROWS, "one", before_batch=started), description="D.")
    second = dataset_of("d", split_of(MORE, "two"), description="D.")
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(load_dataset, engine, first)
        assert reading.wait(30)
        quick = threads.submit(load_dataset, engine, second)
        assert (slow.result().rows_added, quick.result().rows_added) == (10, 7)
    expected = [*((("known", 0, ROWS[0]),) if known else ())]
    expected += [("one", place, row) for place, row in enumerate(ROWS)]
    expected += [("two", place, row) for place, row in enumerate(MORE)]
    assert [(row.config, row.source_index, row.cells) for row in stored_rows(engine, "d")] == expected
    texts = stored_texts(engine, "d")
    assert sorted(texts) == sorted({"D.", *(value for row in ROWS + MORE for value in row.values() if value)})
    assert fetch(engine, "SELECT last_row_id, last_text_id FROM dataset") == [(len(expected), len(texts))]
    assert fetch(engine, "SELECT array_agg(ingest_id ORDER BY ingest_id) FROM ingest") == [([1, 2, 3][: 2 + known],)]


def test_the_same_source_loaded_at_once_goes_in_once(
    engine: Engine, until_another_waits: Callable[[int], None]
) -> None:
    reading = threading.Event()

    def started(batch: int) -> None:
        reading.set()
        until_another_waits(batch)

    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(load_dataset, engine, dataset_of("d", split_of(ROWS, before_batch=started)))
        assert reading.wait(30)
        quick = threads.submit(load_dataset, engine, dataset_of("d", split_of(ROWS)))
        assert (slow.result().rows_added, quick.result().rows_added, quick.result().rows_unchanged) == (10, 0, 10)
    assert counts(engine)["ingest"] == 1
    assert [row.cells for row in stored_rows(engine, "d")] == ROWS


def test_who_waited_for_a_load_that_failed_loads_all(
    engine: Engine, until_another_waits: Callable[[int], None]
) -> None:
    reading = threading.Event()

    def fail(batch: int) -> None:
        reading.set()
        until_another_waits(batch)
        if batch == 1:
            raise SourceError("torn.")

    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(load_dataset, engine, dataset_of("d", split_of(ROWS, before_batch=fail)))
        assert reading.wait(30)
        quick = threads.submit(load_dataset, engine, dataset_of("d", split_of(ROWS)))
        with pytest.raises(SourceError, match="torn"):
            slow.result()
        assert quick.result().rows_added == 10
    assert [row.cells for row in stored_rows(engine, "d")] == ROWS


def test_different_datasets_do_not_wait_for_each_other(engine: Engine) -> None:
    reading, loaded = threading.Event(), threading.Event()

    def wait(_: int) -> None:
        reading.set()
        assert loaded.wait(30)

    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(load_dataset, engine, dataset_of("slow", split_of(ROWS, before_batch=wait)))
        assert reading.wait(30)
        load_dataset(engine, dataset_of("quick", split_of(ROWS)))
        loaded.set()
        slow.result()
    assert fetch(engine, "SELECT name, last_row_id FROM dataset ORDER BY name") == [("quick", 10), ("slow", 10)]


def test_the_same_release_loaded_at_once_changes_rows_once(
    engine: Engine, until_another_waits: Callable[[int], None]
) -> None:
    load_dataset(engine, dataset_of("d", split_of(ROWS)))
    newer: list[Row] = [*ROWS[1:], {"a": "text 0", "b": "mended"}]
    reading = threading.Event()

    def started(batch: int) -> None:
        reading.set()
        until_another_waits(batch)

    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(load_dataset, engine, dataset_of("d", split_of(newer, before_batch=started)))
        assert reading.wait(30)
        quick = threads.submit(load_dataset, engine, dataset_of("d", split_of(newer)))
        assert (slow.result().rows_added, slow.result().rows_removed, slow.result().rows_unchanged) == (1, 1, 9)
        assert (quick.result().splits, quick.result().rows_unchanged) == (0, 10)
    assert fetch(engine, "SELECT count(*), count(removed_at) FROM source_row") == [(11, 1)]
