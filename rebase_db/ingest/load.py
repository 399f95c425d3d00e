"""Loading one dataset: all of it or nothing, by COPY, in one transaction and in constant memory.

Ids are dense within the dataset (rows, texts and columns count from 1), handed out under a lock on the dataset's row,
so two processes that load into one dataset take turns and everything downstream can index arrays by them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from rebase_db import __version__
from rebase_db.database.copy import copy_in
from rebase_db.errors import SourceError
from rebase_db.faults import FaultPoint, reach
from rebase_db.hashing import text_hash
from rebase_db.ingest import encode
from rebase_db.ingest.limits import check_names, check_number
from rebase_db.ingest.source import RejectedRow
from rebase_db.retract.lock import erasures_so_far, hold_still
from rebase_db.retract.withdrawn import erased_texts, refuse_licence, refuse_withdrawn
from rebase_db.schema import (
    Base,
    Dataset,
    DatasetColumn,
    DatasetSplit,
    Ingest,
    IngestRejection,
    IngestSplit,
    SourceRow,
    SplitColumn,
    TextValue,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.ingest.source import Batch, SourceDataset, Split

DESCRIPTION_TEXT_ID = 1
BYTES_A_FLUSH = 8 << 20
VALUES_A_STATEMENT = 500  # far below the 65,535 parameters of a statement


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
        self.pending = _Buffers()

    def run(self) -> Receipt:
        self._lock_dataset()
        known = {} if self.new_dataset else self._known_splits()
        loaded = self._loaded_revisions() if known else {}
        splits = []
        for split in self.source.splits:
            rows = loaded.get((known.get((split.config, split.split)), split.revision))
            if rows is None:
                splits.append(split)
            else:
                self.receipt.rows_unchanged += rows
        if not splits:
            return self.receipt
        refuse_withdrawn(self.connection, self.dataset_id, self.source.name)
        self._open_ingest()
        ids = dict(known)
        for split in splits:
            ids.setdefault((split.config, split.split), len(ids) + 1)
        check_number(self.source, "splits", len(ids))
        self._add_splits([(split, ids[split.config, split.split]) for split in splits], known)
        self._add_columns([(split, ids[split.config, split.split]) for split in splits])
        results = [
            self._load_split(split, ids[split.config, split.split], known=(split.config, split.split) in known)
            for split in splits
        ]
        self._flush()
        self._close(results)
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
        self.columns: dict[str, int] = {}
        self.erasures = erasures_so_far(self.connection)
        self.erased = frozenset[bytes]() if self.new_dataset else erased_texts(self.connection, self.dataset_id)
        if self.new_dataset:
            _, new = self.texts.assign([description])
            self.pending.texts.append(encode.text_tuples(self.dataset_id, new))
            self.receipt.texts_added += len(new)
        else:
            self.columns = dict(
                self.connection.execute(
                    select(DatasetColumn.name, DatasetColumn.column_id).where(
                        DatasetColumn.dataset_id == self.dataset_id
                    )
                ).all()
            )

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

    def _known_splits(self) -> dict[tuple[str, str], int]:
        return {
            (config, split): split_id
            for config, split, split_id in self.connection.execute(
                select(DatasetSplit.config, DatasetSplit.split, DatasetSplit.split_id).where(
                    DatasetSplit.dataset_id == self.dataset_id
                )
            )
        }

    def _loaded_revisions(self) -> dict[tuple[int | None, str], int]:
        """Rows by split and revision, of what was read before under the same cap and without leaving rows out."""
        rows = self.connection.execute(
            select(
                IngestSplit.split_id, IngestSplit.revision, IngestSplit.rows_added + IngestSplit.rows_unchanged
            ).where(
                IngestSplit.dataset_id == self.dataset_id,
                IngestSplit.revision == func.any([split.revision for split in self.source.splits]),
                IngestSplit.max_rows.is_not_distinct_from(self.max_rows),
                IngestSplit.rows_rejected == 0,
            )
        )
        return {(split_id, revision): count for split_id, revision, count in rows}

    def _open_ingest(self) -> None:
        last = 0
        if not self.new_dataset:
            last = self.connection.execute(
                select(func.coalesce(func.max(Ingest.ingest_id), 0)).where(Ingest.dataset_id == self.dataset_id)
            ).scalar_one()
        self.ingest_id = last + 1
        self.connection.execute(
            insert(Ingest).values(dataset_id=self.dataset_id, ingest_id=self.ingest_id, code_version=__version__)
        )

    def _add_splits(self, splits: list[tuple[Split, int]], known: Collection[tuple[str, str]]) -> None:
        """Record the splits that are new, and for all of them that this load read them."""
        key = {"dataset_id": self.dataset_id}
        new = [
            key | {"split_id": split_id, "config": split.config, "split": split.split, "uri": split.uri}
            for split, split_id in splits
            if (split.config, split.split) not in known
        ]
        if new:
            self.connection.execute(insert(DatasetSplit).values(new))
        self.connection.execute(
            insert(IngestSplit).values(
                [
                    key
                    | {
                        "ingest_id": self.ingest_id,
                        "split_id": split_id,
                        "revision": split.revision,
                        "max_rows": self.max_rows,
                        "rows_in_source": split.rows,
                    }
                    for split, split_id in splits
                ]
            )
        )

    def _add_columns(self, splits: list[tuple[Split, int]]) -> None:
        """Give every column an id in the dataset and record its place and type in each split."""
        described = [
            (split_id, position, name, source_type, reason)
            for split, split_id in splits
            for position, (name, source_type, reason) in enumerate(_described(split))
        ]
        names = dict.fromkeys(name for _, _, name, _, _ in described)
        new = [name for name in names if name not in self.columns]
        self.columns |= {name: column_id for column_id, name in enumerate(new, len(self.columns) + 1)}
        check_number(self.source, "columns", len(self.columns))
        if new:
            self._insert_values(
                DatasetColumn,
                [{"dataset_id": self.dataset_id, "column_id": self.columns[name], "name": name} for name in new],
            )
        self._insert_values(
            SplitColumn,
            [
                {
                    "dataset_id": self.dataset_id,
                    "split_id": split_id,
                    "column_id": self.columns[name],
                    "position": position,
                    "source_type": source_type,
                    "left_out": reason,
                }
                for split_id, position, name, source_type, reason in described
            ],
        )

    def _insert_values(self, model: type[Base], rows: list[dict[str, Any]]) -> None:
        """Insert rows that may be there already, a few hundred a statement."""
        for first in range(0, len(rows), VALUES_A_STATEMENT):
            self.connection.execute(
                upsert(model).values(rows[first : first + VALUES_A_STATEMENT]).on_conflict_do_nothing()
            )

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

    def _close(self, splits: list[dict[str, Any]]) -> None:
        """Write the counts."""
        key = {"dataset_id": self.dataset_id, "ingest_id": self.ingest_id}
        counts = ("rows_added", "rows_unchanged", "rows_rejected", "rows_in_source")
        self.connection.execute(
            update(IngestSplit)
            .where(
                IngestSplit.dataset_id == self.dataset_id,
                IngestSplit.ingest_id == self.ingest_id,
                IngestSplit.split_id == bindparam("key_split_id"),
            )
            .values({name: bindparam(name) for name in counts} | {"finished_at": func.clock_timestamp()}),
            [{name: split[name] for name in ("key_split_id", *counts)} for split in splits],
        )
        rejections = [
            key
            | {
                "split_id": split["key_split_id"],
                "source_index": row.source_index,
                "line": row.line,
                "column_name": row.column,
                "reason": row.reason,
            }
            for split in splits
            for row in split["rejected"]
        ]
        if rejections:
            self.connection.execute(insert(IngestRejection), rejections)
        self.connection.execute(
            update(Dataset)
            .where(Dataset.dataset_id == self.dataset_id)
            .values(last_row_id=self.last_row_id, last_text_id=self.texts.last_id)
        )
        self.connection.execute(
            update(Ingest)
            .where(Ingest.dataset_id == self.dataset_id, Ingest.ingest_id == self.ingest_id)
            .values(
                texts_added=self.receipt.texts_added,
                cells_added=self.receipt.cells_added,
                finished_at=func.clock_timestamp(),
            )
        )


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


def _described(split: Split) -> Iterator[tuple[str, str, str | None]]:
    """Name, source type and reason for leaving it out, of every column."""
    for column in split.columns:
        yield column.name, column.source_type, None
    for left_out in split.left_out:
        yield left_out.name, "", left_out.reason


def _add_licence(connection: Connection, source: SourceDataset) -> bool:
    """Note a licence that was not known when the dataset was loaded first; whether it was not."""
    unknown = update(Dataset).where(Dataset.name == source.name, Dataset.licence.is_(None))
    return connection.execute(unknown.values(licence=source.licence)).rowcount > 0


def _described_by_its_columns(source: SourceDataset) -> str:
    """A description for a dataset that came without one: its name and the names of its columns."""
    names = dict.fromkeys(column.name for split in source.splits for column in split.columns)
    return f"{source.name}: {', '.join(names)}"
