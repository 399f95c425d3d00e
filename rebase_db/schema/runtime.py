"""The runner's own tables: workers and what happened to every claimed row."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, BigInt, BigKey, CreatedAt, IntKey, SmallInt, Timestamp


class Worker(Base):
    """A process that claims rows. Its rows' leases live as long as `heartbeat_at` is fresh.

    `stages` are what it was told to do, None for a command that does its own work only; `concurrency` the batches it
    has in hand at most.
    """

    __tablename__ = "worker"

    worker_id: Mapped[IntKey]
    host: Mapped[str]
    pid: Mapped[int]
    code_version: Mapped[str]
    stages: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    concurrency: Mapped[SmallInt] = mapped_column(SmallInteger, server_default=text("1"))
    started_at: Mapped[CreatedAt]
    heartbeat_at: Mapped[CreatedAt]
    stopped_at: Mapped[Timestamp | None]


class Event(Base):
    """A transition of a claimed row, written in the statement that made it; append-only."""

    __tablename__ = "event"

    event_id: Mapped[BigKey]
    queue: Mapped[str]
    item_id: Mapped[BigInt]
    attempt: Mapped[SmallInt]
    from_state: Mapped[str]
    to_state: Mapped[str]
    event: Mapped[str]
    # Without a foreign key, whose checks took 8 % of the throughput at 16 rows a batch. It is the worker of the row
    # that moved, which has one, and workers cannot be deleted.
    worker_id: Mapped[int | None]
    detail: Mapped[str | None]
    at: Mapped[CreatedAt]
    erased_by: Mapped[int | None] = mapped_column(ForeignKey("retraction.retraction_id"))

    __table_args__ = (
        CheckConstraint("erased_by IS NULL OR detail IS NULL", name="erased"),
        Index(None, "queue", "item_id"),
        # Rows arrive in the order of time, so this stays a few pages however many there are.
        Index(None, "at", postgresql_using="brin"),
    )
