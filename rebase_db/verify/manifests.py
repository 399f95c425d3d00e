"""Hashes over lists: the manifests of training sets and the items of benchmarks, however long."""

from __future__ import annotations

import hashlib
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from rebase_db.verify.lie import Lie
from rebase_db.verify.read import stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

# The canonical JSON of a list in parts of some thousand elements, which are hashed one after the other.
MANIFESTS = """\
SELECT
    training_set.training_set_id,
    training_set.manifest_hash,
    '{"examples":[',
    string_agg('"' || encode(example.content_hash, 'hex') || '"', ',' ORDER BY member.position),
    '],"task_version":"' || encode(task_version.content_hash, 'hex') || '"}'
FROM training_set
LEFT JOIN task_version USING (task_version_id)
LEFT JOIN training_set_member AS member USING (training_set_id)
LEFT JOIN example USING (example_id)
GROUP BY training_set.training_set_id, task_version.task_version_id, member.position / 8192
ORDER BY training_set.training_set_id, member.position / 8192"""
ITEMS = """\
SELECT
    benchmark.benchmark_id,
    benchmark.content_hash,
    '[',
    string_agg(
        '[' || to_json(item.item_key) || ',' || to_json(item.input) || ',' || to_json(item.output) || ']',
        ',' ORDER BY item.position
    ),
    ']'
FROM benchmark
LEFT JOIN benchmark_item AS item USING (benchmark_id)
GROUP BY benchmark.benchmark_id, item.position / 1024
ORDER BY benchmark.benchmark_id, item.position / 1024"""


def check_manifests(connection: Connection) -> Iterator[Lie]:
    """`training_set.manifest_hash`, over the task version's hash and the examples' in order."""
    return _lists(connection, MANIFESTS, "training_set", "manifest_hash", "training_set/v1")


def check_benchmarks(connection: Connection) -> Iterator[Lie]:
    """`benchmark.content_hash`, over key, input and output of every item in order."""
    return _lists(connection, ITEMS, "benchmark", "content_hash", "benchmark/v1")


def _lists(connection: Connection, query: str, table: str, column: str, tag: str) -> Iterator[Lie]:
    for (key, stored), parts in groupby(stream(connection, query), key=itemgetter(0, 1)):
        digest = hashlib.sha256(f"rebase-db/{tag}\n".encode())
        end = ""
        for place, (_, _, begin, part, last) in enumerate(parts):
            digest.update(((begin if place == 0 else ",") + (part or "")).encode())
            end = last or ""
        digest.update(end.encode())
        if digest.digest() != stored:
            what = f"{column} is not that of what it lists"
            yield Lie(table, {f"{table}_id": key}, what, digest.hexdigest(), stored.hex())
