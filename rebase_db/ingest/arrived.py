"""A batch of rows on its way in: contents, hashes, and which rows are new whatever may follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.hashing import text_hash
from rebase_db.ingest import encode
from rebase_db.ingest.source import RejectedRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rebase_db.ingest.source import Batch, Split


class Arrived:
    """The rows of a batch, and what is known of each while it is read.

    Attributes:
        digests: The hash of each row's content.
        keys: What each is matched by, beside its content.
        stand: The contents that stand.
        erased: By place in the batch the first column with a text that was erased, and must not come back.
    """

    __slots__ = ("batch", "contents", "digests", "erased", "keys", "stand")

    def __init__(self, batch: Batch, names: list[str], erased: dict[int, RejectedRow]) -> None:
        self.batch = batch
        self.contents = encode.contents(batch, names)
        self.digests = encode.content_digests(self.contents)
        self.erased = erased
        self.keys: list[bytes | None] = [None] * len(self.digests)
        self.stand: set[bytes] = set()

    @property
    def new(self) -> list[bool]:
        """Which rows are new whatever may follow."""
        if not self.stand and not self.erased:
            return [True] * len(self.digests)
        return [digest not in self.stand and place not in self.erased for place, digest in enumerate(self.digests)]

    def refused(self) -> list[RejectedRow]:
        """The rows that hold an erased text and stand nowhere."""
        return [row for place, row in self.erased.items() if self.digests[place] not in self.stand]

    def noted(self, first_row_id: int) -> Iterator[tuple[int, int | None, bytes | None, bytes, str | None, str | None]]:
        """What a matching takes down of each row that may be there; new ones count up from `first_row_id`."""
        batch = self.batch
        for place, (new, digest) in enumerate(zip(self.new, self.digests, strict=True)):
            if new:
                yield batch.source_index[place], first_row_id, self.keys[place], digest, None, None
                first_row_id += 1
            elif digest in self.stand:
                erased = self.erased.get(place)
                column = None if erased is None else erased.column
                yield batch.source_index[place], None, self.keys[place], digest, batch.source_key[place], column


def holding_erased(
    batch: Batch, names: Sequence[str], split: Split, erased: frozenset[bytes]
) -> dict[int, RejectedRow]:
    """By place the rows of a batch that hold a text which was erased from their dataset."""
    if not erased:
        return {}
    found: dict[int, RejectedRow] = {}
    for name, cells in zip(names, batch.cells, strict=True):
        for place, value in enumerate(cells):
            if value is not None and text_hash(value) in erased:
                found.setdefault(place, erased_row(split, batch.source_index[place], name))
    return {place: found[place] for place in sorted(found)}


def erased_row(split: Split, source_index: int, column: str) -> RejectedRow:
    """A row to be left out, and the column for which it is."""
    return RejectedRow(split.uri, source_index, None, column, "holds a text that a retraction erased from this dataset")
