"""The runner's own tables: workers and what happened to every claimed row."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, BigInt, BigKey, CreatedAt, IntKey, SmallInt, Timestamp


class Worker(Base):
    """A process that claims rows. Its rows' leases live as long as `heartbeat_at` is fresh."""

    __tablename__ = "worker"

    worker_id: Mapped[IntKey]
    host: Mapped[str]
    pid: Mapped[int]
    code_version: Mapped[str]
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
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("worker.worker_id"))
    detail: Mapped[str | None]
    at: Mapped[CreatedAt]

    __table_args__ = (Index(None, "queue", "item_id"),)
