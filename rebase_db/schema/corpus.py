"""Ingest: datasets, what each load brought, rows, their cells and the distinct texts in them.

Every table leads with `dataset_id`, so a dataset can be scanned, grown, dropped or moved alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, BigInt, CreatedAt, Digest, IntKey, SmallInt, Timestamp, digest_check


class Dataset(Base):
    """A dataset as its owner publishes it: the unit of licence, description and withdrawal."""

    __tablename__ = "dataset"

    dataset_id: Mapped[IntKey]
    name: Mapped[str] = mapped_column(unique=True)
    uri: Mapped[str]
    licence: Mapped[str | None]
    # The description is a text like any other, embedded with the rest; text 1 by construction. Deferred, because the
    # dataset must stand before its first text can.
    description_text_id: Mapped[int]
    description_given: Mapped[bool]
    last_row_id: Mapped[int] = mapped_column(server_default=text("0"))
    last_text_id: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        ForeignKeyConstraint(
            ["dataset_id", "description_text_id"],
            ["text.dataset_id", "text.text_id"],
            deferrable=True,
            initially="DEFERRED",
            use_alter=True,
        ),
        CheckConstraint("name <> ''", name="name"),
    )


class DatasetSplit(Base):
    """One config and split of a dataset: the space `source_index` counts in."""

    __tablename__ = "dataset_split"

    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.dataset_id"), primary_key=True)
    split_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    config: Mapped[str]
    split: Mapped[str]
    uri: Mapped[str]

    __table_args__ = (UniqueConstraint("dataset_id", "config", "split"),)


class DatasetColumn(Base):
    """A column name of a dataset; nested fields carry dotted names."""

    __tablename__ = "dataset_column"

    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.dataset_id"), primary_key=True)
    column_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    name: Mapped[str]

    __table_args__ = (UniqueConstraint("dataset_id", "name"),)


class Ingest(Base):
    """One load of one dataset, committed whole: what it added and what it left out.

    `match_by` is how its rows were matched with those that were there: by `content`, `index`, or `key` with a colon and
    the column; null where there was nothing to match.
    """

    __tablename__ = "ingest"

    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.dataset_id"), primary_key=True)
    ingest_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    texts_added: Mapped[int] = mapped_column(server_default=text("0"))
    cells_added: Mapped[int] = mapped_column(server_default=text("0"))
    match_by: Mapped[str | None]
    code_version: Mapped[str]
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[Timestamp | None]


class IngestSplit(Base):
    """One split in one load: the revision read, and its rows by what became of them."""

    __tablename__ = "ingest_split"

    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    ingest_id: Mapped[int] = mapped_column(primary_key=True)
    split_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    revision: Mapped[str]
    max_rows: Mapped[int | None]
    rows_in_source: Mapped[BigInt | None]
    rows_added: Mapped[int] = mapped_column(server_default=text("0"))
    rows_unchanged: Mapped[int] = mapped_column(server_default=text("0"))
    rows_rejected: Mapped[int] = mapped_column(server_default=text("0"))
    finished_at: Mapped[Timestamp | None]

    __table_args__ = (
        ForeignKeyConstraint(["dataset_id", "ingest_id"], ["ingest.dataset_id", "ingest.ingest_id"]),
        ForeignKeyConstraint(["dataset_id", "split_id"], ["dataset_split.dataset_id", "dataset_split.split_id"]),
    )


class IngestColumn(Base):
    """A column as a split had it in one load: its place, its type at the source, and why it was left out, if it was."""

    __tablename__ = "ingest_column"

    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    ingest_id: Mapped[int] = mapped_column(primary_key=True)
    split_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    column_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    position: Mapped[SmallInt]
    source_type: Mapped[str]
    left_out: Mapped[str | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["dataset_id", "ingest_id", "split_id"],
            ["ingest_split.dataset_id", "ingest_split.ingest_id", "ingest_split.split_id"],
        ),
        ForeignKeyConstraint(["dataset_id", "column_id"], ["dataset_column.dataset_id", "dataset_column.column_id"]),
    )


class IngestRejection(Base):
    """A row of the source that was left out under `--on-error skip`, and why."""

    __tablename__ = "ingest_rejection"

    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    ingest_id: Mapped[int] = mapped_column(primary_key=True)
    split_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    source_index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    line: Mapped[BigInt | None]
    column_name: Mapped[str | None]
    reason: Mapped[str]

    __table_args__ = (
        ForeignKeyConstraint(
            ["dataset_id", "ingest_id", "split_id"],
            ["ingest_split.dataset_id", "ingest_split.ingest_id", "ingest_split.split_id"],
        ),
    )


class SourceRow(Base):
    """A row as its source has it: where it stands there, its content, and the content's hash.

    `content` maps each column that has a value to its text, in flattened form; `content_hash` is over exactly that (tag
    `source_row/v1`), so equal rows of two datasets (mirrors) have equal hashes. Of an erased row each text is replaced
    by its SHA-256 in hex. `retracted_at`: since when some retraction that stands covers it. `removed_at`: since when
    its source does not have it any more (`removed_row`). `source_index` counts in the release that its load read.
    """

    __tablename__ = "source_row"

    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ingest_id: Mapped[int]
    split_id: Mapped[SmallInt]
    source_index: Mapped[BigInt]
    source_key: Mapped[str | None]
    content: Mapped[Any]
    content_hash: Mapped[Digest]
    retracted_at: Mapped[Timestamp | None]
    removed_at: Mapped[Timestamp | None]
    erased_by: Mapped[int | None] = mapped_column(ForeignKey("retraction.retraction_id", use_alter=True))

    __table_args__ = (
        ForeignKeyConstraint(
            ["dataset_id", "ingest_id", "split_id"],
            ["ingest_split.dataset_id", "ingest_split.ingest_id", "ingest_split.split_id"],
        ),
        UniqueConstraint("dataset_id", "split_id", "source_index", "ingest_id"),
        CheckConstraint("jsonb_typeof(content) = 'object'", name="content"),
        *digest_check("content_hash"),
        Index(None, "content_hash"),
    )


class RemovedRow(Base):
    """A row that its source no longer had, or had with other content, when a later load read it."""

    __tablename__ = "removed_row"

    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    ingest_id: Mapped[int]

    __table_args__ = (
        ForeignKeyConstraint(["dataset_id", "row_id"], ["source_row.dataset_id", "source_row.row_id"]),
        ForeignKeyConstraint(["dataset_id", "ingest_id"], ["ingest.dataset_id", "ingest.ingest_id"]),
        Index(None, "dataset_id", "ingest_id"),
    )


class ChangedRow(Base):
    """A row that stands where its source had another one before, whose content changed: that one is removed."""

    __tablename__ = "changed_row"

    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    previous_row_id: Mapped[int]

    __table_args__ = (
        ForeignKeyConstraint(["dataset_id", "row_id"], ["source_row.dataset_id", "source_row.row_id"]),
        ForeignKeyConstraint(["dataset_id", "previous_row_id"], ["removed_row.dataset_id", "removed_row.row_id"]),
        UniqueConstraint("dataset_id", "previous_row_id"),
        CheckConstraint("previous_row_id < row_id", name="previous"),
    )


class TextValue(Base):
    """A distinct text of a dataset, stored and embedded once however many cells hold it. Erased, its hash stays."""

    __tablename__ = "text"

    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.dataset_id"), primary_key=True)
    text_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha256: Mapped[Digest]
    text: Mapped[str | None]
    erased_by: Mapped[int | None] = mapped_column(ForeignKey("retraction.retraction_id", use_alter=True))

    __table_args__ = (
        UniqueConstraint("dataset_id", "sha256"),
        CheckConstraint("sha256 = sha256(convert_to(text, 'UTF8'))", name="sha256"),
        CheckConstraint("(text IS NULL) = (erased_by IS NOT NULL)", name="erased"),
    )


class Cell(Base):
    """Which text stands in which column of which row. Null values have no cell."""

    __tablename__ = "cell"

    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    column_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    text_id: Mapped[int]

    __table_args__ = (
        ForeignKeyConstraint(["dataset_id", "row_id"], ["source_row.dataset_id", "source_row.row_id"]),
        ForeignKeyConstraint(["dataset_id", "column_id"], ["dataset_column.dataset_id", "dataset_column.column_id"]),
        ForeignKeyConstraint(["dataset_id", "text_id"], ["text.dataset_id", "text.text_id"]),
        Index(None, "dataset_id", "text_id"),
    )
