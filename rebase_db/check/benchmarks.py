"""The registered benchmarks that examples and source rows are held against."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sqlalchemy import select

from rebase_db.check.contamination import BenchmarkItem, GramIndex
from rebase_db.schema import Benchmark
from rebase_db.schema import BenchmarkItem as BenchmarkItemTable

if TYPE_CHECKING:
    from sqlalchemy import Connection

_lock = threading.Lock()
_indexes: dict[tuple[tuple[str, ...], int], GramIndex] = {}


def registered(connection: Connection) -> dict[str, int]:
    """Ids of all benchmarks by content hash (hexadecimal), in the order of the hashes."""
    rows = connection.execute(select(Benchmark.content_hash, Benchmark.benchmark_id).order_by(Benchmark.content_hash))
    return {content_hash.hex(): benchmark_id for content_hash, benchmark_id in rows}


def benchmark_items(connection: Connection, benchmark_ids: list[int]) -> list[BenchmarkItem]:
    """Their items, in the order of their files."""
    rows = connection.execute(
        select(Benchmark.name, BenchmarkItemTable.item_key, BenchmarkItemTable.input, BenchmarkItemTable.output)
        .join(BenchmarkItemTable)
        .where(Benchmark.benchmark_id.in_(benchmark_ids))
        .order_by(Benchmark.benchmark_id, BenchmarkItemTable.position)
    )
    return [BenchmarkItem(*row) for row in rows]


def gram_index(connection: Connection, words: int) -> GramIndex:
    """The n-grams of all registered benchmarks, made once a process."""
    found = registered(connection)
    key = tuple(found), words
    with _lock:
        if key not in _indexes:
            _indexes.clear()  # an older one has fewer benchmarks, and takes as much memory
            _indexes[key] = GramIndex(benchmark_items(connection, list(found.values())), words)
        return _indexes[key]
