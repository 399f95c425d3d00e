"""Loading one dataset: all of it or nothing, by COPY, in one transaction and in constant memory.

Ids are dense within the dataset (rows, texts and columns count from 1), handed out under a lock on the dataset's row, so
two processes that load into one dataset take turns and everything downstream can index arrays by them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from rebase_db import __version__
from rebase_db.database.copy import copy_in
from rebase_db.errors import SourceError
from rebase_db.faults import FaultPoint, reach
from rebase_db.ingest import encode
from rebase_db.schema import (
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
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from rebase_db.ingest.source import Batch, RejectedRow, SourceDataset, Split

DESCRIPTION_TEXT_ID = 1


@dataclass(slots=True)
class Receipt:
    """What one load did to one dataset. All zero, with `unchanged_splits`, when the source was already in."""

    dataset: str
    dataset_id: int = 0
    rows_added: int = 0
    rows_unchanged: int = 0
    texts_added: int = 0
    cells_added: int = 0
    splits: int = 0
    rejected: list[RejectedRow] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the load added anything."""
        return self.rows_added > 0


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
        SourceError: The source cannot be read, or a row that is already there has other content now. Nothing is loaded.
    """
    with engine.begin() as connection:
        load = _Load(connection, source, max_rows, on_rows)
        receipt = load.run()
        if receipt.splits:
            reach(FaultPoint.INGEST_BEFORE_COMMIT)
        else:
            connection.rollback()
    reach(FaultPoint.INGEST_COMMITTED)
    return receipt


class _Load:
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

    def run(self) -> Receipt:
        self._lock_dataset()
        splits = {} if self.new_dataset else self._known_splits()
        pending = [split for split in self.source.splits if not self._already_loaded(splits, split)]
        if not pending:
            return self.receipt
        self._open_ingest()
        for split in pending:
            split_id = splits.get((split.config, split.split))
            known = split_id is not None
            if split_id is None:
                split_id = splits[split.config, split.split] = len(splits) + 1
            self._load_split(split, split_id, known=known)
        self._close_ingest()
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
            row = self.connection.execute(
                select(Dataset.dataset_id, Dataset.last_row_id, Dataset.last_text_id, Dataset.licence)
                .where(Dataset.name == source.name)
                .with_for_update()
            ).one()
            self.last_row_id, last_text_id = row.last_row_id, row.last_text_id
            if source.licence and row.licence is None:
                self.connection.execute(
                    update(Dataset).where(Dataset.dataset_id == row.dataset_id).values(licence=source.licence)
                )
        else:
            self.last_row_id, last_text_id = 0, 0
        self.dataset_id = self.receipt.dataset_id = row.dataset_id
        self.texts = encode.TextIds(last_text_id, self._find_texts)
        self.columns: dict[str, int] = {}
        if self.new_dataset:
            _, new = self.texts.assign([description])
            self._copy_texts(new)
        else:
            self.columns = {
                name: column_id
                for name, column_id in self.connection.execute(
                    select(DatasetColumn.name, DatasetColumn.column_id).where(
                        DatasetColumn.dataset_id == self.dataset_id
                    )
                )
            }

    def _find_texts(self, digests: list[bytes]) -> dict[bytes, int]:
        found = self.connection.execute(
            select(TextValue.sha256, TextValue.text_id).where(
                TextValue.dataset_id == self.dataset_id, TextValue.sha256 == func.any(digests)
            )
        )
        return {digest: text_id for digest, text_id in found}

    def _known_splits(self) -> dict[tuple[str, str], int]:
        return {
            (config, split): split_id
            for config, split, split_id in self.connection.execute(
                select(DatasetSplit.config, DatasetSplit.split, DatasetSplit.split_id).where(
                    DatasetSplit.dataset_id == self.dataset_id
                )
            )
        }

    def _already_loaded(self, splits: dict[tuple[str, str], int], split: Split) -> bool:
        """Whether this very revision was read before, under the same cap and without leaving rows out."""
        split_id = splits.get((split.config, split.split))
        if split_id is None:
            return False
        rows = self.connection.execute(
            select(IngestSplit.rows_added + IngestSplit.rows_unchanged).where(
                IngestSplit.dataset_id == self.dataset_id,
                IngestSplit.split_id == split_id,
                IngestSplit.revision == split.revision,
                IngestSplit.max_rows.is_not_distinct_from(self.max_rows),
                IngestSplit.rows_rejected == 0,
            )
        ).scalar()
        if rows is None:
            return False
        self.receipt.rows_unchanged += rows
        return True

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

    def _load_split(self, split: Split, split_id: int, *, known: bool) -> None:
        if not known:
            self.connection.execute(
                insert(DatasetSplit).values(
                    dataset_id=self.dataset_id, split_id=split_id, config=split.config, split=split.split, uri=split.uri
                )
            )
        key = {"dataset_id": self.dataset_id, "ingest_id": self.ingest_id, "split_id": split_id}
        self.connection.execute(
            insert(IngestSplit).values(
                **key, revision=split.revision, max_rows=self.max_rows, rows_in_source=split.rows
            )
        )
        column_ids = self._add_columns(split, split_id)
        names = [column.name for column in split.columns]
        added = unchanged = 0
        for batch in split.batches():
            self.on_rows(len(batch.source_index))
            new = self._load_batch(batch, names, column_ids, split, split_id, known=known)
            added += new
            unchanged += len(batch.source_index) - new
        if not added + unchanged and not split.rejected:
            raise SourceError(f"{split.uri} has no rows.", hint="An empty source is most often a wrong path or export.")
        self.connection.execute(
            update(IngestSplit)
            .where(tuple_(IngestSplit.dataset_id, IngestSplit.ingest_id, IngestSplit.split_id) == tuple_(*key.values()))
            .values(
                rows_added=added, rows_unchanged=unchanged, rows_rejected=len(split.rejected), rows_in_source=split.rows
            )
        )
        if split.rejected:
            self.connection.execute(
                insert(IngestRejection),
                [
                    {
                        **key,
                        "source_index": row.source_index,
                        "line": row.line,
                        "column_name": row.column,
                        "reason": row.reason,
                    }
                    for row in split.rejected
                ],
            )
        receipt = self.receipt
        receipt.splits += 1
        receipt.rows_added += added
        receipt.rows_unchanged += unchanged
        receipt.rejected += split.rejected
        receipt.left_out += [(column.name, column.reason) for column in split.left_out]

    def _add_columns(self, split: Split, split_id: int) -> list[int]:
        """Give every column of the split an id in the dataset and record its place and type; ids in column order."""
        described = [(column.name, column.source_type, None) for column in split.columns]
        described += [(column.name, "", column.reason) for column in split.left_out]
        new = [name for name, _, _ in described if name not in self.columns]
        self.columns |= {name: column_id for column_id, name in enumerate(new, len(self.columns) + 1)}
        if new:
            self.connection.execute(
                insert(DatasetColumn),
                [{"dataset_id": self.dataset_id, "column_id": self.columns[name], "name": name} for name in new],
            )
        if described:
            self.connection.execute(
                upsert(SplitColumn).on_conflict_do_nothing(),
                [
                    {
                        "dataset_id": self.dataset_id,
                        "split_id": split_id,
                        "column_id": self.columns[name],
                        "position": position,
                        "source_type": source_type,
                        "left_out": reason,
                    }
                    for position, (name, source_type, reason) in enumerate(described)
                ],
            )
        return [self.columns[column.name] for column in split.columns]

    def _load_batch(
        self, batch: Batch, names: list[str], column_ids: list[int], split: Split, split_id: int, *, known: bool
    ) -> int:
        """Copy the rows of a batch that are new; their number."""
        contents = encode.contents(batch, names)
        digests = encode.content_digests(contents)
        if known:
            wanted = self._new_rows(batch, digests, split, split_id)
            batch = encode.keep(batch, wanted)
            contents = [content for content, new in zip(contents, wanted, strict=True) if new]
            digests = [digest for digest, new in zip(digests, wanted, strict=True) if new]
        count = len(contents)
        if not count:
            return 0
        first = self.last_row_id + 1
        self.last_row_id += count
        rows = zip(batch.source_index, batch.source_key, contents, digests, strict=True)
        copy_in(
            self.connection,
            "source_row",
            encode.ROW_COLUMNS,
            [encode.row_tuples(self.dataset_id, self.ingest_id, split_id, first, rows)],
        )
        reach(FaultPoint.INGEST_ROWS_COPIED)
        ids, new = self.texts.assign({value for column in batch.cells for value in column if value is not None})
        self._copy_texts(new)
        buffer, cells = encode.cell_tuples(self.dataset_id, range(first, first + count), column_ids, batch.cells, ids)
        copy_in(self.connection, "cell", encode.CELL_COLUMNS, [buffer])
        self.receipt.cells_added += cells
        return count

    def _new_rows(self, batch: Batch, digests: list[bytes], split: Split, split_id: int) -> list[bool]:
        """Which rows of a batch are not there yet.

        Raises:
            SourceError: A row is there with other content.
        """
        there = {
            index: digest
            for index, digest in self.connection.execute(
                select(SourceRow.source_index, SourceRow.content_hash).where(
                    SourceRow.dataset_id == self.dataset_id,
                    SourceRow.split_id == split_id,
                    SourceRow.source_index.between(min(batch.source_index), max(batch.source_index)),
                )
            )
        }
        for index, digest in zip(batch.source_index, digests, strict=True):
            if there.get(index, digest) != digest:
                raise SourceError(
                    f"{split.uri}: row {index} differs from the one already loaded into dataset "
                    f"{self.source.name!r} ({split.config}/{split.split}).",
                    hint="Load the changed source under another name (--name), so that both stay traceable.",
                )
        return [index not in there for index in batch.source_index]

    def _copy_texts(self, new: list[tuple[int, bytes, bytes]]) -> None:
        if new:
            copy_in(self.connection, "text", encode.TEXT_COLUMNS, [encode.text_tuples(self.dataset_id, new)])
            self.receipt.texts_added += len(new)

    def _close_ingest(self) -> None:
        self.connection.execute(
            update(Dataset)
            .where(Dataset.dataset_id == self.dataset_id)
            .values(last_row_id=self.last_row_id, last_text_id=self.texts.last_id)
        )
        self.connection.execute(
            update(Ingest)
            .where(Ingest.dataset_id == self.dataset_id, Ingest.ingest_id == self.ingest_id)
            .values(texts_added=self.receipt.texts_added, cells_added=self.receipt.cells_added)
        )


def _described_by_its_columns(source: SourceDataset) -> str:
    """A description for a dataset that came without one: its name and the names of its columns."""
    names = dict.fromkeys(column.name for split in source.splits for column in split.columns)
    return f"{source.name}: {', '.join(names)}"
