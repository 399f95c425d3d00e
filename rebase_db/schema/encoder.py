"""Embed: encoders, the chunks of texts workers claim, and one unit vector per text and encoder."""

from __future__ import annotations

from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import (
    Base,
    BigKey,
    CreatedAt,
    Digest,
    IntKey,
    JobColumns,
    after_create,
    digest_check,
    job_checks,
)
from rebase_db.states import JOB

MAX_STORED_WIDTH = 4000
"""Widest vector that fits a page plain: 2 bytes a dimension in 8 KiB less headers."""


class Encoder(Base):
    """An embedding model, identified by everything that changes its vectors."""

    __tablename__ = "encoder"

    encoder_id: Mapped[IntKey]
    name: Mapped[str]
    revision: Mapped[str]
    weights_hash: Mapped[Digest]
    width: Mapped[int]
    max_tokens: Mapped[int]
    precision: Mapped[str]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        UniqueConstraint("weights_hash", "name", "revision", "max_tokens", "precision"),
        UniqueConstraint("encoder_id", "width"),
        CheckConstraint(f"width BETWEEN 1 AND {MAX_STORED_WIDTH}", name="width"),
        *digest_check("weights_hash"),
    )


class EmbedChunk(JobColumns, Base):
    """A run of consecutive texts of a dataset to be embedded by one encoder, claimed whole."""

    __tablename__ = "embed_chunk"

    embed_chunk_id: Mapped[BigKey]
    encoder_id: Mapped[int] = mapped_column(ForeignKey("encoder.encoder_id"))
    dataset_id: Mapped[int]
    first_text_id: Mapped[int]
    last_text_id: Mapped[int]

    __table_args__ = (
        ForeignKeyConstraint(["dataset_id", "first_text_id"], ["text.dataset_id", "text.text_id"]),
        ForeignKeyConstraint(["dataset_id", "last_text_id"], ["text.dataset_id", "text.text_id"]),
        UniqueConstraint("dataset_id", "encoder_id", "first_text_id"),
        CheckConstraint("last_text_id >= first_text_id", name="range"),
        *job_checks(JOB),
        Index(
            "embed_chunk_waiting_idx",
            "encoder_id",
            "ready_at",
            "embed_chunk_id",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index("embed_chunk_running_idx", "worker_id", postgresql_where=text("state = 'running'")),
    )


class Embedding(Base):
    """The unit vector of a text under an encoder. `width` ties the vector's length to the encoder's."""

    __tablename__ = "embedding"

    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    encoder_id: Mapped[int] = mapped_column(primary_key=True)
    text_id: Mapped[int] = mapped_column(primary_key=True)
    width: Mapped[int]
    vector: Mapped[Any] = mapped_column(HALFVEC())

    __table_args__ = (
        ForeignKeyConstraint(["dataset_id", "text_id"], ["text.dataset_id", "text.text_id"]),
        ForeignKeyConstraint(["encoder_id", "width"], ["encoder.encoder_id", "encoder.width"]),
        CheckConstraint("vector_dims(vector) = width", name="width"),
        # Half precision rounds each of up to 4,000 squares by at most 2^-10 of itself.
        CheckConstraint("l2_norm(vector) BETWEEN 0.99 AND 1.01", name="unit_length"),
    )


# Plain storage: a TOASTed vector costs an index look-up a row and makes the exact scan several times slower.
after_create(Embedding.__table__, "ALTER TABLE embedding ALTER COLUMN vector SET STORAGE PLAIN")
