"""Retraction: what was withdrawn, why, and which rows that covers."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, CreatedAt, IntKey, Timestamp

RETRACTION_KINDS = ("dataset", "row", "licence", "text")


class Retraction(Base):
    """A withdrawal of rows, for a reason. `target` is what was named; of a text it is its SHA-256 in hex.

    `mirrors`: rows with the content of a named one are covered too. It stands until it is undone; one whose rows were
    erased can not be.
    """

    __tablename__ = "retraction"

    retraction_id: Mapped[IntKey]
    kind: Mapped[str]
    target: Mapped[str]
    reason: Mapped[str]
    mirrors: Mapped[bool] = mapped_column(server_default=text("false"))
    asked_by: Mapped[str]
    code_version: Mapped[str]
    created_at: Mapped[CreatedAt]
    undone_at: Mapped[Timestamp | None]
    undo_reason: Mapped[str | None]
    erased_at: Mapped[Timestamp | None]

    __table_args__ = (
        CheckConstraint(f"kind IN {RETRACTION_KINDS!r}", name="kind"),
        CheckConstraint("reason <> ''", name="reason"),
        CheckConstraint("(undone_at IS NULL) = (undo_reason IS NULL)", name="undone"),
        CheckConstraint("undone_at IS NULL OR erased_at IS NULL", name="erased_is_final"),
    )


class RetractedDataset(Base):
    """A dataset that a retraction covers whole: nothing more is loaded into it while the retraction stands."""

    __tablename__ = "retracted_dataset"

    retraction_id: Mapped[int] = mapped_column(ForeignKey("retraction.retraction_id"), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.dataset_id"), primary_key=True)

    __table_args__ = (Index(None, "dataset_id"),)


class RetractedRow(Base):
    """A row that a retraction covers."""

    __tablename__ = "retracted_row"

    retraction_id: Mapped[int] = mapped_column(ForeignKey("retraction.retraction_id"), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True)

    __table_args__ = (
        ForeignKeyConstraint(["dataset_id", "row_id"], ["source_row.dataset_id", "source_row.row_id"]),
        Index(None, "dataset_id", "row_id"),
    )
