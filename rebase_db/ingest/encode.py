"""From batches of cells to COPY buffers: canonical content, hashes, and one id per distinct text."""

from __future__ import annotations

import hashlib
import struct
from itertools import compress
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

import numpy as np

from rebase_db.database.copy import INT2, INT4, bytes_field, tuples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rebase_db.ingest.source import Batch

_ROW_TAG = b"rebase-db/source_row/v1\n"
_ROW_HEAD = struct.Struct(">hiiiiiiihiq")  # 8 fields: dataset, row, ingest, split, source index as lengths and values
_TEXT_HEAD = struct.Struct(">hiiiii")
_JSONB_VERSION = b"\x01"
_CELL = (("dataset_id", INT4), ("row_id", INT4), ("column_id", INT2), ("text_id", INT4))

ROW_COLUMNS = (
    "dataset_id", "row_id", "ingest_id", "split_id", "source_index", "source_key", "content", "content_hash",
)  # fmt: skip
TEXT_COLUMNS = ("dataset_id", "text_id", "sha256", "text")
CELL_COLUMNS = tuple(name for name, _ in _CELL)


def contents(batch: Batch, names: Sequence[str]) -> list[bytes]:
    """Each row's canonical JSON: its columns that have a value, by name, to their texts.

    The same bytes are hashed and stored. Null values are left out, so that a column that appears in a later release
    does not change the hash of a row that has no value in it.
    """
    order = sorted(range(len(names)), key=names.__getitem__)
    keys = [encode_basestring(names[column]) + ":" for column in order]
    rows: list[list[str]] = [[] for _ in batch.source_index]
    for key, column in zip(keys, order, strict=True):
        for parts, value in zip(rows, batch.cells[column], strict=True):
            if value is not None:
                parts.append(key + encode_basestring(value))
    return [("{" + ",".join(parts) + "}").encode() for parts in rows]


def content_digests(rows: Iterable[bytes]) -> list[bytes]:
    """`hashing.content_hash("source_row/v1", content)` of contents already in canonical form."""
    return [hashlib.sha256(_ROW_TAG + content).digest() for content in rows]


def row_tuples(
    dataset_id: int,
    ingest_id: int,
    split_id: int,
    first_row_id: int,
    rows: Iterable[tuple[int, str | None, bytes, bytes]],
) -> bytes:
    """COPY tuples of `source_row` from (source index, source key, content, hash); ids count up from `first_row_id`."""
    parts: list[bytes] = []
    for row_id, (source_index, source_key, content, digest) in enumerate(rows, first_row_id):
        parts += (
            _ROW_HEAD.pack(8, 4, dataset_id, 4, row_id, 4, ingest_id, 2, split_id, 8, source_index),
            bytes_field(None if source_key is None else source_key.encode()),
            bytes_field(_JSONB_VERSION + content),
            bytes_field(digest),
        )
    return b"".join(parts)


class TextIds:
    """Ids of a dataset's distinct texts, by SHA-256, in bounded memory.

    Args:
        last_id: The highest id in the dataset so far.
        find: Ids the database has for these digests; asked only for digests not remembered, and only once something
            was forgotten or was there before us.
        store: Writes what is new so far to the database; called before it is forgotten.
    """

    REMEMBERED = 500_000  # about 100 MB of digests; beyond it the memory is emptied and the database is asked

    def __init__(
        self, last_id: int, find: Callable[[list[bytes]], dict[bytes, int]], store: Callable[[], None]
    ) -> None:
        self.last_id = last_id
        self._find = find
        self._store = store
        self._known: dict[bytes, int] = {}
        self._complete = last_id == 0

    def assign(self, texts: Iterable[str]) -> tuple[dict[str, int], list[tuple[int, bytes, bytes]]]:
        """An id for each text, and the (id, digest, UTF-8) of those that are new to the dataset."""
        encoded = {text: text.encode() for text in texts}
        digests = {text: hashlib.sha256(data).digest() for text, data in encoded.items()}
        if len(self._known) + len(digests) > self.REMEMBERED:
            self._store()
            self._known.clear()
            self._complete = False
        if not self._complete:
            missing = [digest for digest in digests.values() if digest not in self._known]
            if missing:
                self._known.update(self._find(missing))
        ids: dict[str, int] = {}
        new: list[tuple[int, bytes, bytes]] = []
        known = self._known
        for text, digest in digests.items():
            found = known.get(digest)
            if found is None:
                self.last_id += 1
                found = known[digest] = self.last_id
                new.append((found, digest, encoded[text]))
            ids[text] = found
        return ids, new


def text_tuples(dataset_id: int, texts: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    """COPY tuples of `text` from (id, digest, UTF-8)."""
    parts: list[bytes] = []
    for text_id, digest, data in texts:
        parts += (_TEXT_HEAD.pack(4, 4, dataset_id, 4, text_id, 32), digest, bytes_field(data))
    return b"".join(parts)


def cell_tuples(
    dataset_id: int,
    row_ids: Sequence[int],
    column_ids: Sequence[int],
    cells: Sequence[Sequence[str | None]],
    ids: dict[str, int],
) -> tuple[bytes, int]:
    """COPY tuples of `cell`, in key order, and their number. `cells[c][i]` is column c of row i; None has no cell."""
    text_ids = np.array([[ids[value] if value is not None else 0 for value in column] for column in cells], np.int32)
    if text_ids.size == 0:
        return b"", 0
    by_row = text_ids.T.ravel()
    filled = by_row > 0
    rows = np.repeat(np.asarray(row_ids, np.int32), len(column_ids))[filled]
    columns = np.tile(np.asarray(column_ids, np.int16), len(row_ids))[filled]
    return tuples(_CELL, [np.full(len(rows), dataset_id, np.int32), rows, columns, by_row[filled]]), len(rows)


def keep(batch: Batch, wanted: Sequence[bool]) -> Batch:
    """The rows of a batch that are wanted."""
    from rebase_db.ingest.source import Batch as New

    return New(
        source_index=list(compress(batch.source_index, wanted)),
        source_key=list(compress(batch.source_key, wanted)),
        cells=[list(compress(column, wanted)) for column in batch.cells],
    )
