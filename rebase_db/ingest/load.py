"""Loading one dataset: all of it or nothing, by COPY, in one transaction and in constant memory.

Ids are dense within the dataset (rows, texts and columns count from 1), handed out under a lock on the dataset's row,
so two processes that load into one dataset take turns and everything downstream can index arrays by them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from rebase_db.database.copy import copy_in
from rebase_db.errors import SourceError
from rebase_db.faults import FaultPoint, reach
from rebase_db.hashing import text_hash
from rebase_db.ingest import encode
from rebase_db.ingest.limits import check_names, check_number
from rebase_db.ingest.record import (
    add_columns,
    add_splits,
    close_ingest,
    known_splits,
    loaded_revisions,
    open_ingest,
)
from rebase_db.ingest.source import RejectedRow
from rebase_db.retract.lock import erasures_so_far, hold_still
from rebase_db.retract.withdrawn import erased_texts, refuse_licence, refuse_withdrawn
from rebase_db.schema import (
    Dataset,
    SourceRow,
    TextValue,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.ingest.source import Batch, SourceDataset, Split

DESCRIPTION_TEXT_ID = 1
BYTES_A_FLUSH = 8 << 20


@dataclass(slots=True)
class Receipt:
    """What one load did to one dataset. Nothing is added when the source was in already."""

    dataset: str
    dataset_id: int = 0
    rows_added: int = 0
    rows_unchanged: int = 0
    texts_added: int = 0
    cells_added: int = 0
    splits: int = 0
    rejected: list[RejectedRow] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def load_dataset(
    engine: Engine,
    source: SourceDataset,
    *,
    max_rows: int | None = None,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Receipt:
    """Load every split of `source`. Rows that are already there, by split and source index, are left as they are.

    Args:
        engine: The database.
        source: What `rebase_db.ingest.open.open_sources` yields.
        max_rows: The cap the source was opened with, recorded with the load.
        on_rows: Told the number of rows read, batch by batch.

    Raises:
        SourceError: The source cannot be read, a row that is already there has other content now, or the dataset is
            withdrawn. Nothing is loaded.
    """
    check_names(source)
    with engine.begin() as connection:
        # A source may be slow to give its next rows; nobody waits for this transaction but loads of the same dataset.
        connection.execute(select(func.set_config("idle_in_transaction_session_timeout", "0", True)))  # noqa: FBT003
        load = _Load(connection, source, max_rows, on_rows)
        receipt = load.run()
        if receipt.rows_added:
            reach(FaultPoint.INGEST_BEFORE_COMMIT)
        else:
            connection.rollback()
    if not receipt.rows_added and source.licence:
        with engine.begin() as connection:
            if _add_licence(connection, source):
                hold_still(connection)
                refuse_licence(connection, receipt.dataset_id, source.name)
    reach(FaultPoint.INGEST_COMMITTED)
    return receipt


class _Load:
    """One load; holds the dataset's lock from `_lock_dataset` to the end of the transaction."""

    def __init__(
        self, connection: Connection, source: SourceDataset, max_rows: int | None, on_rows: Callable[[int], None]
    ) -> None:
        self.connection = connection
        self.source = source
        self.max_rows = max_rows
        self.on_rows = on_rows
        self.receipt = Receipt(source.name)
        self.new_dataset = False
        self.ingest_id = 0
        self.columns: dict[str, int] = {}
        self.pending = _Buffers()

    def run(self) -> Receipt:
        self._lock_dataset()
        connection, dataset_id = self.connection, self.dataset_id
        known = {} if self.new_dataset else known_splits(connection, dataset_id)
        revisions = [split.revision for split in self.source.splits]
        loaded = loaded_revisions(connection, dataset_id, revisions, self.max_rows) if known else {}
        splits = []
        for split in self.source.splits:
            rows = loaded.get((known.get((split.config, split.split)), split.revision))
            if rows is None:
                splits.append(split)
            else:
                self.receipt.rows_unchanged += rows
        if not splits:
            return self.receipt
        refuse_withdrawn(connection, dataset_id, self.source.name)
        self.ingest_id = open_ingest(connection, dataset_id)
        ids = dict(known)
        for split in splits:
            ids.setdefault((split.config, split.split), len(ids) + 1)
        check_number(self.source, "splits", len(ids))
        numbered = [(split, ids[split.config, split.split]) for split in splits]
        add_splits(connection, dataset_id, self.ingest_id, self.max_rows, numbered, known)
        self.columns = add_columns(connection, dataset_id, self.ingest_id, self.source, numbered)
        results = [
            self._load_split(split, ids[split.config, split.split], known=(split.config, split.split) in known)
            for split in splits
        ]
        self._flush()
        close_ingest(
            connection,
            dataset_id,
            self.ingest_id,
            results,
            {"last_row_id": self.last_row_id, "last_text_id": self.texts.last_id},
            {"texts_added": self.receipt.texts_added, "cells_added": self.receipt.cells_added},
        )
        self._look_for_retractions()
        return self.receipt

    def _lock_dataset(self) -> None:
        """Insert the dataset with its description, or find and lock it."""
        source = self.source
        description = source.description or _described_by_its_columns(source)
        row = self.connection.execute(
            upsert(Dataset)
            .values(
                name=source.name,
                uri=source.uri,
                licence=source.licence or None,
                description_text_id=DESCRIPTION_TEXT_ID,
                description_given=bool(source.description),
            )
            .on_conflict_do_nothing(index_elements=["name"])
            .returning(Dataset.dataset_id)
        ).one_or_none()
        self.new_dataset = row is not None
        if row is None:
            found = self.connection.execute(
                select(Dataset.dataset_id, Dataset.last_row_id, Dataset.last_text_id)
                .where(Dataset.name == source.name)
                # Not plain FOR UPDATE: retrievals and retractions may refer to the dataset meanwhile.
                .with_for_update(key_share=True)
            ).one()
            self.dataset_id = found.dataset_id
            self.last_row_id, last_text_id = found.last_row_id, found.last_text_id
            if source.licence:
                _add_licence(self.connection, source)
        else:
            self.dataset_id = row.dataset_id
            self.last_row_id, last_text_id = 0, 0
        self.receipt.dataset_id = self.dataset_id
        self.texts = encode.TextIds(last_text_id, self._find_texts, self._flush)
        self.erasures = erasures_so_far(self.connection)
        self.erased = frozenset[bytes]() if self.new_dataset else erased_texts(self.connection, self.dataset_id)
        if self.new_dataset:
            _, new = self.texts.assign([description])
            self.pending.texts.append(encode.text_tuples(self.dataset_id, new))
            self.receipt.texts_added += len(new)

    def _look_for_retractions(self) -> None:
        """Have retractions wait for the end of this load, which is near, and see those that were made while it read.

        Raises:
            SourceError: The dataset was withdrawn, or rows were erased, in the meantime.
        """
        hold_still(self.connection)
        refuse_withdrawn(self.connection, self.dataset_id, self.source.name)
        if erasures_so_far(self.connection) != self.erasures:
            raise SourceError(
                f"Rows were erased while dataset {self.source.name!r} was being loaded, maybe texts that it has.",
                hint="Load it again.",
            )

    def _find_texts(self, digests: list[bytes]) -> dict[bytes, int]:
        found = self.connection.execute(
            select(TextValue.sha256, TextValue.text_id).where(
                TextValue.dataset_id == self.dataset_id, TextValue.sha256 == func.any(digests)
            )
        )
        return dict(found.all())

    def _load_split(self, split: Split, split_id: int, *, known: bool) -> dict[str, Any]:
        """Queue a split's new rows for COPY; its counts, by column of `ingest_split`."""
        names = [column.name for column in split.columns]
        column_ids = [self.columns[name] for name in names]
        added = unchanged = 0
        erased: list[RejectedRow] = []
        for batch in split.batches():
            self.on_rows(len(batch.source_index))
            new, without = self._queue_batch(batch, names, column_ids, split, split_id, known=known)
            added += new
            unchanged += len(batch.source_index) - new - len(without)
            erased += without
        rejected = [*split.rejected, *erased]
        receipt = self.receipt
        receipt.splits += 1
        receipt.rows_added += added
        receipt.rows_unchanged += unchanged
        receipt.rejected += rejected
        receipt.left_out += [(column.name, column.reason) for column in split.left_out]
        return {
            "key_split_id": split_id,
            "rows_added": added,
            "rows_unchanged": unchanged,
            "rows_rejected": len(rejected),
            "rows_in_source": split.rows,
            "rejected": rejected,
        }

    def _queue_batch(
        self, batch: Batch, names: list[str], column_ids: list[int], split: Split, split_id: int, *, known: bool
    ) -> tuple[int, list[RejectedRow]]:
        """Queue the rows of a batch that are new; their number, and those left out because they hold erased texts."""
        contents = encode.contents(batch, names)
        digests = encode.content_digests(contents)
        if known:
            wanted = self._new_rows(batch, digests, split, split_id)
            batch = encode.keep(batch, wanted)
            contents = list(compress(contents, wanted))
            digests = list(compress(digests, wanted))
        erased = _holding_erased(batch, names, split, self.erased) if self.erased else []
        if erased:
            gone = {row.source_index for row in erased}
            wanted = [index not in gone for index in batch.source_index]
            batch = encode.keep(batch, wanted)
            contents = list(compress(contents, wanted))
            digests = list(compress(digests, wanted))
        count = len(contents)
        if not count:
            return 0, erased
        first = self.last_row_id + 1
        self.last_row_id += count
        rows = zip(batch.source_index, batch.source_key, contents, digests, strict=True)
        # Not a set, whose order differs from process to process: the same source gets the same ids.
        ids, new = self.texts.assign(
            dict.fromkeys(value for column in batch.cells for value in column if value is not None)
        )
        cells, cell_count = encode.cell_tuples(
            self.dataset_id, range(first, first + count), column_ids, batch.cells, ids
        )
        self.receipt.texts_added += len(new)
        self.receipt.cells_added += cell_count
        self.pending.rows.append(encode.row_tuples(self.dataset_id, self.ingest_id, split_id, first, rows))
        self.pending.texts.append(encode.text_tuples(self.dataset_id, new))
        self.pending.cells.append(cells)
        if self.pending.size() > BYTES_A_FLUSH:
            self._flush()
        return count, erased

    def _new_rows(self, batch: Batch, digests: list[bytes], split: Split, split_id: int) -> list[bool]:
        """Which rows of a batch are not there yet.

        Raises:
            SourceError: A row is there with other content.
        """
        there = dict(
            self.connection.execute(
                select(SourceRow.source_index, SourceRow.content_hash).where(
                    SourceRow.dataset_id == self.dataset_id,
                    SourceRow.split_id == split_id,
                    # Not a range: between the rows of a sample lie the whole source's.
                    SourceRow.source_index == func.any(batch.source_index),
                )
            ).all()
        )
        for index, digest in zip(batch.source_index, digests, strict=True):
            if there.get(index, digest) != digest:
                raise SourceError(
                    f"{split.uri}: row {index} differs from the one already loaded into dataset "
                    f"{self.source.name!r} ({split.config}/{split.split}).",
                    hint="Load the changed source under another name (--name), so that both stay traceable.",
                )
        return [index not in there for index in batch.source_index]

    def _flush(self) -> None:
        """Copy what is queued: rows and texts, then the cells that refer to both."""
        pending, self.pending = self.pending, _Buffers()
        if not pending.size():
            return
        copy_in(self.connection, "source_row", encode.ROW_COLUMNS, pending.rows)
        reach(FaultPoint.INGEST_ROWS_COPIED)
        copy_in(self.connection, "text", encode.TEXT_COLUMNS, pending.texts)
        copy_in(self.connection, "cell", encode.CELL_COLUMNS, pending.cells)


class _Buffers:
    """COPY tuples on their way to the database."""

    __slots__ = ("cells", "rows", "texts")

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.texts: list[bytes] = []
        self.cells: list[bytes] = []

    def size(self) -> int:
        return sum(len(buffer) for buffers in (self.rows, self.texts, self.cells) for buffer in buffers)


def _holding_erased(batch: Batch, names: Sequence[str], split: Split, erased: frozenset[bytes]) -> list[RejectedRow]:
    """The rows of a batch that hold a text which was erased from their dataset, and must not come back with them."""
    found = {
        index: RejectedRow(split.uri, index, None, name, "holds a text that a retraction erased from this dataset")
        for name, cells in zip(names, batch.cells, strict=True)
        for index, value in zip(batch.source_index, cells, strict=True)
        if value is not None and text_hash(value) in erased
    }
    return [found[index] for index in sorted(found)]


def _add_licence(connection: Connection, source: SourceDataset) -> bool:
    """Note a licence that was not known when the dataset was loaded first; whether it was not."""
    unknown = update(Dataset).where(Dataset.name == source.name, Dataset.licence.is_(None))
    return connection.execute(unknown.values(licence=source.licence)).rowcount > 0


def _described_by_its_columns(source: SourceDataset) -> str:
    """A description for a dataset that came without one: its name and the names of its columns."""
    names = dict.fromkeys(column.name for split in source.splits for column in split.columns)
    return f"{source.name}: {', '.join(names)}"
