"""Published data under audit: examples and rankings that others made, and what can be said of where they come from.

They have tables of their own, because nobody saw their calls: an `example` always has its call and its row, a published
example has at most a reference its publisher gives, or a likely source with a confidence.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, BigInt, BigKey, CreatedAt, Digest, IntKey, digest_check

PUBLISHED_FORMS = ("rebase", "examples")


class Publication(Base):
    """One import of published data for a task; `files` maps each file read to its SHA-256 in hex."""

    __tablename__ = "publication"

    publication_id: Mapped[IntKey]
    task_id: Mapped[int] = mapped_column(ForeignKey("task.task_id"))
    name: Mapped[str] = mapped_column(unique=True)
    form: Mapped[str]
    uri: Mapped[str]
    files: Mapped[Any]
    code_version: Mapped[str]
    created_at: Mapped[CreatedAt]

    __table_args__ = (CheckConstraint(f"form IN {PUBLISHED_FORMS!r}", name="form"), Index(None, "task_id"))


class PublishedRank(Base):
    """A place in a published ranking: the row as its publisher names it, and the source row that has this name."""

    __tablename__ = "published_rank"

    publication_id: Mapped[int] = mapped_column(ForeignKey("publication.publication_id"), primary_key=True)
    rank: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    score: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    row_reference: Mapped[Any]
    dataset_id: Mapped[int | None]
    row_id: Mapped[int | None]

    __table_args__ = (
        ForeignKeyConstraint(["dataset_id", "row_id"], ["source_row.dataset_id", "source_row.row_id"]),
        CheckConstraint("(dataset_id IS NULL) = (row_id IS NULL)", name="row"),
        CheckConstraint("rank > 0", name="rank"),
        Index(None, "dataset_id", "row_id"),
    )


class PublishedExample(Base):
    """An example as it was published, at its place from 1; `row_reference` is what its publisher says of its source."""

    __tablename__ = "published_example"

    published_example_id: Mapped[BigKey]
    publication_id: Mapped[int] = mapped_column(ForeignKey("publication.publication_id"))
    position: Mapped[int]
    input: Mapped[str]
    output: Mapped[str]
    row_reference: Mapped[Any | None]
    content_hash: Mapped[Digest]

    __table_args__ = (
        UniqueConstraint("publication_id", "position"),
        *digest_check("content_hash"),
        Index(None, "content_hash"),
    )


class LikelySource(Base):
    """A row that a published example may have been made from: by which method, how likely, on what evidence.

    `stated` is the publisher's own word, which is not ours to vouch for; every other method is a guess, and says so by
    a confidence below 1.
    """

    __tablename__ = "likely_source"

    published_example_id: Mapped[BigInt] = mapped_column(
        BigInteger, ForeignKey("published_example.published_example_id"), primary_key=True
    )
    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    method: Mapped[str] = mapped_column(primary_key=True)
    confidence: Mapped[float] = mapped_column(REAL)
    evidence: Mapped[Any]
    created_at: Mapped[CreatedAt]
    erased_by: Mapped[int | None] = mapped_column(ForeignKey("retraction.retraction_id"))

    __table_args__ = (
        ForeignKeyConstraint(["dataset_id", "row_id"], ["source_row.dataset_id", "source_row.row_id"]),
        CheckConstraint("confidence > 0 AND confidence <= 1", name="confidence"),
        CheckConstraint("confidence < 1 OR method = 'stated'", name="guess"),
        CheckConstraint("erased_by IS NULL OR evidence = '{}'", name="erased"),
        Index(None, "dataset_id", "row_id"),
    )
