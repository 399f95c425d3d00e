"""Loading one dataset, or a newer release of it: all or nothing, by COPY, in one transaction and in constant memory.

Ids are dense within the dataset (rows, texts and columns count from 1), handed out under a lock on the dataset's row,
so two processes that load into one dataset take turns and everything downstream can index arrays by them.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from rebase_db.database.copy import copy_in
from rebase_db.errors import SourceError
from rebase_db.faults import FaultPoint, reach
from rebase_db.ingest import encode
from rebase_db.ingest.arrived import Arrived, erased_row, holding_erased
from rebase_db.ingest.limits import check_names, check_number
from rebase_db.ingest.match import Matching, UnfitKeyError
from rebase_db.ingest.receipt import Receipt
from rebase_db.ingest.record import (
    add_columns,
    add_splits,
    changed_columns,
    close_ingest,
    known_splits,
    loaded_revisions,
    open_ingest,
)
from rebase_db.retract.lock import erasures_so_far, hold_still
from rebase_db.retract.withdrawn import erased_texts, refuse_licence, refuse_withdrawn
from rebase_db.schema import Dataset, TextValue
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from rebase_db.ingest.source import RejectedRow, SourceDataset, Split

DESCRIPTION_TEXT_ID = 1
BYTES_A_FLUSH = 8 << 20


def load_dataset(
    engine: Engine,
    source: SourceDataset,
    *,
    max_rows: int | None = None,
    match: str | None = None,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Receipt:
    """Load every split of `source`; what a split has already is matched with what it has now.

    Args:
        engine: The database.
        source: What `rebase_db.ingest.open.open_sources` yields.
        max_rows: The cap the source was opened with, recorded with the load.
        match: How rows are matched, as `rebase_db.ingest.match.match_by` gives it. By default by the source's own keys
            where each row has its own, before and now, and by content otherwise.
        on_rows: Told the number of rows read, batch by batch.

    Raises:
        SourceError: The source cannot be read, its rows cannot be matched as asked, no row of it is there already, or
            the dataset is withdrawn. Nothing is loaded.
    """
    check_names(source)
    try:
        receipt = _load(engine, source, max_rows, match, on_rows)
    except UnfitKeyError:
        receipt = _load(engine, source, max_rows, match, on_rows, keyless=True)
    if not receipt.changes_something and source.licence:
        with engine.begin() as connection:
            if _add_licence(connection, source):
                hold_still(connection)
                refuse_licence(connection, receipt.dataset_id, source.name)
    reach(FaultPoint.INGEST_COMMITTED)
    return receipt


def _load(
    engine: Engine,
    source: SourceDataset,
    max_rows: int | None,
    match: str | None,
    on_rows: Callable[[int], None],
    *,
    keyless: bool = False,
) -> Receipt:
    with engine.begin() as connection:
        # A source may be slow to give its next rows; nobody waits for this transaction but loads of the same dataset.
        connection.execute(select(func.set_config("idle_in_transaction_session_timeout", "0", True)))  # noqa: FBT003
        receipt = _Load(connection, source, max_rows, match, on_rows, keyless=keyless).run()
        if receipt.changes_something:
            reach(FaultPoint.INGEST_BEFORE_COMMIT)
        else:
            connection.rollback()
            receipt.ingest_id = 0
    return receipt


class _Load:
    """One load; holds the dataset's lock from `_lock_dataset` to the end of the transaction."""

    def __init__(
        self,
        connection: Connection,
        source: SourceDataset,
        max_rows: int | None,
        match: str | None,
        on_rows: Callable[[int], None],
        *,
        keyless: bool,
    ) -> None:
        self.connection = connection
        self.source = source
        self.max_rows = max_rows
        self.match = match
        self.keyless = keyless
        self.on_rows = on_rows
        self.receipt = Receipt(source.name)
        self.new_dataset = False
        self.ingest_id = 0
        self.columns: dict[str, int] = {}
        self.matching: Matching | None = None
        self.pending = _Buffers()

    def run(self) -> Receipt:
        self._lock_dataset()
        connection, dataset_id, receipt = self.connection, self.dataset_id, self.receipt
        known = {} if self.new_dataset else known_splits(connection, dataset_id)
        loaded = loaded_revisions(connection, dataset_id, self.max_rows) if known else {}
        splits = []
        for split in self.source.splits:
            rows = loaded.get((known.get((split.config, split.split)), split.revision))
            if rows is None:
                splits.append(split)
            else:
                receipt.rows_unchanged += rows
        if not splits:
            return receipt
        refuse_withdrawn(connection, dataset_id, self.source.name)
        ids = dict(known)
        for split in splits:
            ids.setdefault((split.config, split.split), len(ids) + 1)
        check_number(self.source, "splits", len(ids))
        numbered = [(split, ids[split.config, split.split]) for split in splits]
        again = {split_id: split for split, split_id in numbered if (split.config, split.split) in known}
        if again:
            self.matching = Matching(connection, dataset_id, again, self.match, self.source.name, keyless=self.keyless)
            receipt.match_by = self.matching.by
        self.ingest_id = receipt.ingest_id = open_ingest(connection, dataset_id, receipt.match_by)
        add_splits(connection, dataset_id, self.ingest_id, self.max_rows, numbered, known)
        self.columns = add_columns(connection, dataset_id, self.ingest_id, self.source, numbered)
        if again:
            receipt.changed_columns = changed_columns(connection, dataset_id, self.ingest_id)
        results = {split_id: self._load_split(split, split_id) for split, split_id in numbered}
        self._flush()
        if self.matching is not None and self.matching.by is not None:
            self._match(self.matching, results, dict(again))
        self._count(results)
        close_ingest(
            connection,
            dataset_id,
            self.ingest_id,
            list(results.values()),
            {"last_row_id": self.last_row_id, "last_text_id": self.texts.last_id},
            {"texts_added": receipt.texts_added, "cells_added": receipt.cells_added},
        )
        self._look_for_retractions()
        if receipt.match_by is not None:
            self._stamp()
        return receipt

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
        self.first_row_id = self.last_row_id
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

    def _load_split(self, split: Split, split_id: int) -> dict[str, Any]:
        """Queue a split's rows for COPY, as far as they are new for sure; its counts, by column of `ingest_split`."""
        names = [column.name for column in split.columns]
        column_ids = [self.columns[name] for name in names]
        matching = self.matching if self.matching is not None and self.matching.covers(split_id) else None
        read = queued = 0
        erased: list[RejectedRow] = []
        for batch in split.batches():
            self.on_rows(len(batch.source_index))
            read += len(batch.source_index)
            arrived = Arrived(batch, names, holding_erased(batch, names, split, self.erased))
            if matching is not None:
                arrived.keys = matching.keys(batch, names, split)
                arrived.stand = matching.stand(arrived.digests)
            erased += arrived.refused()
            first = self.last_row_id + 1
            queued += self._queue(arrived, column_ids, split_id)
            if matching is not None:
                matching.note(split_id, arrived.noted(first))
        self.receipt.splits += 1
        self.receipt.left_out += [(column.name, column.reason) for column in split.left_out]
        rejected = [*split.rejected, *erased]
        return {
            "key_split_id": split_id,
            "rows_added": queued,
            "rows_unchanged": 0,
            "rows_rejected": len(rejected),
            "rows_in_source": split.rows,
            "rejected": rejected,
            "read": read + len(split.rejected),
        }

    def _queue(self, arrived: Arrived, column_ids: list[int], split_id: int) -> int:
        """Queue the new rows of a batch with their texts and cells; their number."""
        wanted = arrived.new
        batch = encode.keep(arrived.batch, wanted)
        count = len(batch.source_index)
        if not count:
            return 0
        contents, digests = compress(arrived.contents, wanted), compress(arrived.digests, wanted)
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
        return count

    def _match(self, matching: Matching, results: dict[int, dict[str, Any]], again: dict[int, Split]) -> None:
        """Find out what became of the rows of splits that were read again, and record it."""
        whole = [
            split_id
            for split_id, split in again.items()
            if self.max_rows is None or (split.rows is not None and results[split_id]["read"] >= split.rows)
        ]
        for split_id, index, column in matching.match(self.ingest_id, whole):
            results[split_id]["rejected"].append(erased_row(again[split_id], index, column))
        copies, cells = matching.copy(self.ingest_id, self.last_row_id)
        self.last_row_id += copies
        self.receipt.cells_added += cells
        matching.record(self.ingest_id, whole)
        for split_id, counts in matching.counts().items():
            rejected = results[split_id]["rejected"]
            rejected.sort(key=lambda row: row.source_index)
            results[split_id] |= {
                "rows_added": counts.brought,
                "rows_unchanged": counts.unchanged,
                "rows_rejected": len(rejected),
            }
            self.receipt.rows_added -= counts.changed
            self.receipt.rows_changed += counts.changed
            if split_id in whole:
                self.receipt.rows_removed += counts.unmatched
            else:
                self.receipt.rows_unseen += counts.unmatched

    def _count(self, results: dict[int, dict[str, Any]]) -> None:
        """Put what became of all splits into the receipt."""
        for result in results.values():
            self.receipt.rows_added += result["rows_added"]
            self.receipt.rows_unchanged += result["rows_unchanged"]
            self.receipt.rejected += result["rejected"]

    def _stamp(self) -> None:
        """Mark what is removed, and what a retraction covers; last, for a retraction may wait for the marks of rows."""
        key = {"dataset_id": self.dataset_id}
        if self.receipt.rows_changed or self.receipt.rows_removed:
            self.connection.execute(text(named("stamp_removed_rows")), key | {"ingest_id": self.ingest_id})
        if self.receipt.rows_brought:
            covered = self.connection.execute(text(named("cover_new_rows")), key | {"last_row_id": self.first_row_id})
            self.receipt.rows_retracted = covered.rowcount

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


def _add_licence(connection: Connection, source: SourceDataset) -> bool:
    """Note a licence that was not known when the dataset was loaded first; whether it was not."""
    unknown = update(Dataset).where(Dataset.name == source.name, Dataset.licence.is_(None))
    return connection.execute(unknown.values(licence=source.licence)).rowcount > 0


def _described_by_its_columns(source: SourceDataset) -> str:
    """A description for a dataset that came without one: its name and the names of its columns."""
    names = dict.fromkeys(column.name for split in source.splits for column in split.columns)
    return f"{source.name}: {', '.join(names)}"
