"""Budget: what a task may spend, and what is set aside for calls that are under way."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, BigInt, BigKey, CreatedAt, SmallInt, Timestamp


class Budget(Base):
    """The limits of a task, over all its versions, and where it stands.

    `spent_*` is what finished calls took, those that nobody knows the outcome of counted at their most; `held_*` is set
    aside for those under way. `exhausted_at`: since when not even one more row can be paid for; workers leave it alone.
    """

    __tablename__ = "budget"

    task_id: Mapped[int] = mapped_column(ForeignKey("task.task_id"), primary_key=True)
    max_cost: Mapped[Decimal | None]
    max_tokens: Mapped[int | None] = mapped_column(BigInteger)
    max_examples: Mapped[int | None]
    spent_cost: Mapped[Decimal] = mapped_column(server_default=text("0"))
    spent_tokens: Mapped[BigInt] = mapped_column(BigInteger, server_default=text("0"))
    held_cost: Mapped[Decimal] = mapped_column(server_default=text("0"))
    held_tokens: Mapped[BigInt] = mapped_column(BigInteger, server_default=text("0"))
    exhausted_at: Mapped[Timestamp | None]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("max_cost >= 0 AND max_tokens >= 0 AND max_examples >= 0", name="limits"),
        CheckConstraint("spent_cost >= 0 AND spent_tokens >= 0 AND held_cost >= 0 AND held_tokens >= 0", name="sums"),
    )


class Reservation(Base):
    """What was set aside for one call: for an attempt of a link, or for a judge's call for an example.

    Open until it is settled: `spent_*` is then what the call took. `presumed`: the call was lost sight of (its worker
    died, or the row was taken from it), and what was set aside counts as spent.
    """

    __tablename__ = "reservation"

    reservation_id: Mapped[BigKey]
    task_id: Mapped[int] = mapped_column(ForeignKey("budget.task_id"))
    worker_id: Mapped[int] = mapped_column(ForeignKey("worker.worker_id"))
    link_id: Mapped[BigInt] = mapped_column(BigInteger, ForeignKey("retrieval_link.link_id"))
    attempt: Mapped[SmallInt | None]
    cost: Mapped[Decimal | None]
    tokens: Mapped[BigInt]
    settled_at: Mapped[Timestamp | None]
    spent_cost: Mapped[Decimal | None]
    spent_tokens: Mapped[int | None] = mapped_column(BigInteger)
    presumed: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("(settled_at IS NULL) = (spent_tokens IS NULL)", name="settled"),
        CheckConstraint("NOT presumed OR settled_at IS NOT NULL", name="presumed"),
        Index("reservation_open_idx", "task_id", postgresql_where=text("settled_at IS NULL")),
        Index(None, "link_id", "attempt"),
    )
