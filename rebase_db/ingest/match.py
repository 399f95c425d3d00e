"""Which rows of a newer release are those of the one before: the same, changed, new, or gone.

What arrives is noted in a work table while it is read, and matched with what stands when all of it is there. Only a row
whose content stands nowhere is known to be new at once; its caller stores it. A row with content that stands may be the
one that stands, or one more: the latter is copied from it, so no row waits anywhere for the end.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, text
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.types import LargeBinary

from rebase_db.database.copy import NULL, bytes_field, copy_in
from rebase_db.errors import SourceError
from rebase_db.ingest.source import ROW_KEY
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, CursorResult

    from rebase_db.ingest.source import Batch, Split

CONTENT, INDEX = "content", "index"
BY_ROW_KEY = f"key:{ROW_KEY}"
WAYS = "content, index, key, or key=COLUMN"
BYTES_A_FLUSH = 8 << 20

_ARRIVED = ("split_id", "source_index", "row_id", "match_key", "content_hash", "source_key", "erased_column")
_HEAD = struct.Struct(">hihiq")  # 7 fields; split and source index as lengths and values
_NUMBER = struct.Struct(">ii")
_INDEX = struct.Struct(">q")
_standing = sql_table("standing_row", sql_column("content_hash", LargeBinary))


class UnfitKeyError(Exception):
    """Rows that were to be matched by their own keys, unless those turn out not to tell them apart."""


def match_by(said: str) -> str:
    """How rows are matched, from the words of a command: `key` is the source's own key of a row.

    Raises:
        SourceError: There is no such way.
    """
    if said in {CONTENT, INDEX}:
        return said
    way, equals, name = said.partition("=")
    if way == "key" and bool(name) == bool(equals):
        return f"key:{name or ROW_KEY}"
    raise SourceError(f"Rows cannot be matched by {said!r}.", hint=f"Write --match {WAYS}.")


@dataclass(frozen=True, slots=True)
class Matched:
    """What became of the rows of one split; `unmatched` rows stood there and are in the source no more."""

    brought: int
    changed: int
    unchanged: int
    unmatched: int


class Matching:
    """The rows that stand in the splits a load reads again, and those that arrive.

    Args:
        connection: Of the load.
        dataset_id: The dataset, which is locked.
        splits: The splits to be read that the dataset has already, by number.
        asked: How to match, if somebody said so: as `ingest.match_by` has it.
        name: The dataset's name, for messages.
        keyless: Whether the source's own keys turned out not to tell its rows apart.

    Attributes:
        by: How rows are matched; None where nothing stands.

    Raises:
        SourceError: What stands has no keys, or not each its own, and was to be matched by them.
    """

    def __init__(
        self,
        connection: Connection,
        dataset_id: int,
        splits: Mapping[int, Split],
        asked: str | None,
        name: str,
        *,
        keyless: bool = False,
    ) -> None:
        self._connection = connection
        self._dataset_id = dataset_id
        self._splits = splits
        self._name = name
        self._asked = asked
        self._arrived: list[bytes] = []
        self._size = 0
        connection.exec_driver_sql(named("match_tables"))
        self.by = self._stand(asked or (CONTENT if keyless else BY_ROW_KEY))
        if asked is None and self.by is not None and self._fault(arrived=False) is not None:
            connection.exec_driver_sql("TRUNCATE standing_row")
            self.by = self._stand(CONTENT)
        self._refuse_fault(arrived=False)
        connection.exec_driver_sql(named("match_standing_index"))
        found = connection.execute(text("SELECT DISTINCT split_id FROM standing_row")).scalars()
        self._filled = frozenset(found)

    def _stand(self, by: str) -> str | None:
        """Note what stands with its keys; the way of matching, or None where nothing does."""
        values = {"dataset_id": self._dataset_id, "split_ids": list(self._splits), "match_by": by}
        return by if self._run("match_standing", values).rowcount else None

    def covers(self, split_id: int) -> bool:
        """Whether rows stand in a split, with which those that arrive are matched."""
        return split_id in self._filled

    @property
    def _by_key(self) -> bool:
        return self.by is not None and self.by.startswith("key:")

    def keys(self, batch: Batch, names: Sequence[str], split: Split) -> list[bytes | None]:
        """What the rows of a batch are matched by, besides their content.

        Raises:
            SourceError: A row has no key.
            UnfitKeyError: The same, and nobody asked for matching by keys.
        """
        if self.by == INDEX:
            return [_INDEX.pack(index) for index in batch.source_index]
        if not self._by_key:
            return [None] * len(batch.source_index)
        column = str(self.by).removeprefix("key:")
        if column != ROW_KEY and column not in names:
            raise SourceError(
                f"{split.uri}: there is no column {column!r}, by which its rows are to be matched.",
                hint="Name another one with --match key=COLUMN, or match by content or index.",
            )
        values = batch.source_key if column == ROW_KEY else batch.cells[names.index(column)]
        for index, value in zip(batch.source_index, values, strict=True):
            if value is None:
                self._refuse(f"{split.uri}: row {index} has no {self._key_name}")
        return [hashlib.sha256(value.encode()).digest() for value in values if value is not None]

    def stand(self, digests: Sequence[bytes]) -> set[bytes]:
        """Those of some contents that stand."""
        query = select(_standing.c.content_hash).where(
            _standing.c.content_hash == func.any(bindparam("digests", list(digests)))
        )
        return {bytes(digest) for digest in self._connection.execute(query.distinct()).scalars()}

    def note(
        self,
        split_id: int,
        rows: Iterable[tuple[int, int | None, bytes | None, bytes, str | None, str | None]],
    ) -> None:
        """Take down rows that arrived.

        Args:
            split_id: Their split.
            rows: Of each its index, its number if it is stored, its match key, the hash of its content, its source key,
                and the first column with an erased text.
        """
        part = b"".join(_tuples(split_id, rows))
        self._arrived.append(part)
        self._size += len(part)
        if self._size > BYTES_A_FLUSH:
            self._flush()

    def _flush(self) -> None:
        arrived, self._arrived, self._size = self._arrived, [], 0
        if arrived:
            copy_in(self._connection, "arrived_row", _ARRIVED, arrived)

    def match(self, ingest_id: int, whole: Sequence[int]) -> list[tuple[int, int, str]]:
        """Match all that arrived with all that stands.

        Args:
            ingest_id: The load.
            whole: The splits of which every row was read. By content, a row of a sample is the same as one that stands,
                or new: where the others went is not to be seen.

        Returns:
            Split, index and column of the rows to be left out, because they hold an erased text and stand nowhere.

        Raises:
            SourceError: Keys are missing or doubled; or nothing is alike, and nobody said how it should match.
            UnfitKeyError: The same of keys, where nobody asked for matching by them.
        """
        self._flush()
        self._connection.exec_driver_sql("ANALYZE arrived_row")
        self._refuse_fault(arrived=True)
        self._run("match_by_content" if self.by == CONTENT else "match_by_key", {})
        self._refuse_strangers(ingest_id)
        if self.by == CONTENT:
            self._run("match_by_place", {"whole": list(whole)})
        self._connection.exec_driver_sql("ANALYZE matched_row")
        return [(row.split_id, row.source_index, row.erased_column) for row in self._run("match_erased", {})]

    def _refuse_strangers(self, ingest_id: int) -> None:
        """Raise where somebody else's file of the same name would remove all that stands."""
        values = {"dataset_id": self._dataset_id, "ingest_id": ingest_id}
        if self._asked is not None or self._run("match_kin", values).scalar_one():
            return
        split = next(iter(self._splits.values()))
        raise SourceError(
            f"{split.uri}: not one row of it is in dataset {self._name!r} ({split.config}/{split.split}), "
            "so it looks like another source of the same name.",
            hint=f"Give it another name with --name; or say how its rows match, with --match {WAYS}.",
        )

    def copy(self, ingest_id: int, last_row_id: int) -> tuple[int, int]:
        """Store the rows that have content which stands but are other rows; how many, and how many cells."""
        values = {"dataset_id": self._dataset_id, "ingest_id": ingest_id, "last_row_id": last_row_id}
        rows = self._run("match_number_copies", {"last_row_id": last_row_id}).rowcount
        if not rows:
            return 0, 0
        self._run("match_copy_rows", values)
        del values["ingest_id"]
        return rows, self._run("match_copy_cells", values).rowcount

    def counts(self) -> dict[int, Matched]:
        """What became of the rows, by split."""
        return {
            row.split_id: Matched(row.brought, row.changed, row.unchanged, row.unmatched)
            for row in self._run("match_counts", {})
        }

    def record(self, ingest_id: int, whole: Sequence[int]) -> None:
        """Record which rows are removed, and what changed ones have become; with a sample only those that changed."""
        values = {"dataset_id": self._dataset_id, "ingest_id": ingest_id, "whole": list(whole)}
        self._run("remove_rows", values)
        self._run("change_rows", {"dataset_id": self._dataset_id})

    def _refuse_fault(self, *, arrived: bool) -> None:
        """Raise for the first row without a key of its own, on one side."""
        fault = self._fault(arrived=arrived)
        if fault is None:
            return
        split = self._splits[fault.split_id]
        where = split.uri if arrived else f"dataset {self._name!r} ({split.config}/{split.split}), as it stands"
        if fault.missing:
            self._refuse(f"{where}: row {fault.first} has no {self._key_name}")
        elif fault.first == fault.last:
            self._refuse(f"{where}: there are two rows {fault.first}, of several loads")
        else:
            self._refuse(f"{where}: rows {fault.first} and {fault.last} have the same {self._key_name}")

    def _fault(self, *, arrived: bool) -> Any:
        if self.by is None or self.by == CONTENT:
            return None
        return self._run("match_key_fault", {"arrived": arrived}).first()

    @property
    def _key_name(self) -> str:
        return "key" if self.by == BY_ROW_KEY else f"{str(self.by).removeprefix('key:')!r}"

    def _refuse(self, what: str) -> None:
        if self._asked is None:
            raise UnfitKeyError
        by = "index" if self.by == INDEX else "key"
        raise SourceError(
            f"{what}, so rows cannot be matched by {by}.",
            hint="Name another key with --match key=COLUMN, or match by content (--match content).",
        )

    def _run(self, query: str, values: Mapping[str, Any]) -> CursorResult[Any]:
        return self._connection.execute(text(named(query)), values)


def _tuples(
    split_id: int, rows: Iterable[tuple[int, int | None, bytes | None, bytes, str | None, str | None]]
) -> Iterator[bytes]:
    """COPY tuples of `arrived_row`."""
    for index, row_id, key, digest, source_key, erased in rows:
        yield _HEAD.pack(7, 2, split_id, 8, index)
        yield NULL if row_id is None else _NUMBER.pack(4, row_id)
        yield bytes_field(key)
        yield bytes_field(digest)
        yield bytes_field(None if source_key is None else source_key.encode())
        yield bytes_field(None if erased is None else erased.encode())
