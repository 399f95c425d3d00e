"""What every table shares: naming of constraints, column types, and the columns of a claimable row."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import DDL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rebase_db.states import StateMachine

NAMING = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}

SmallInt = Annotated[int, mapped_column(SmallInteger)]
BigInt = Annotated[int, mapped_column(BigInteger)]
Timestamp = Annotated[dt.datetime, mapped_column(TIMESTAMP(timezone=True))]
CreatedAt = Annotated[dt.datetime, mapped_column(TIMESTAMP(timezone=True), server_default=text("clock_timestamp()"))]
Digest = Annotated[bytes, mapped_column(LargeBinary)]
"""A SHA-256: 32 bytes. Pair it with `digest_check`."""
IntKey = Annotated[int, mapped_column(Identity(always=True), primary_key=True)]
BigKey = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]


ATTEMPTS = 5
"""Claims a row gets before it is failed."""


class Base(DeclarativeBase):
    """Declarative base; `Base.metadata` is the schema the migrations must arrive at."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {str: Text, Any: JSONB}  # noqa: RUF012 - SQLAlchemy reads it as a class attribute


def after_create(target: object, statement: str) -> None:
    """Run `statement` after `target` is created from the metadata: what the models cannot say themselves."""
    event.listen(target, "after_create", DDL(statement))  # type: ignore[no-untyped-call]


def digest_check(*columns: str) -> Iterable[CheckConstraint]:
    """A CHECK for each column that it is as long as a SHA-256; NULL passes."""
    for column in columns:
        yield CheckConstraint(f"octet_length({column}) = 32", name=f"{column}_length")


class JobColumns:
    """The columns the job runner claims, leases and finishes a row by (see `rebase_db.queue`).

    `state` says where the row is; `worker_id` who holds it, exactly while it is worked on; `attempt` counts claims and
    fences late writers, up to `attempt_limit`, which a revival raises; `crashes` counts the workers that died holding
    it since it was last finished or revived; `ready_at` is the earliest time of the next claim.
    """

    state: Mapped[str]
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("worker.worker_id"))
    attempt: Mapped[SmallInt] = mapped_column(SmallInteger, server_default=text("0"))
    attempt_limit: Mapped[SmallInt] = mapped_column(SmallInteger, server_default=text(str(ATTEMPTS)))
    crashes: Mapped[SmallInt] = mapped_column(SmallInteger, server_default=text("0"))
    # The transaction's time, so that rows that enter together are claimed in their own order.
    ready_at: Mapped[Timestamp] = mapped_column(server_default=text("now()"))
    error: Mapped[str | None]
    finished_at: Mapped[Timestamp | None]


def job_checks(machine: StateMachine) -> tuple[CheckConstraint, ...]:
    """Half-states the database refuses, written as equalities so that both directions hold."""
    states = ", ".join(f"'{state}'" for state in machine.states)
    finished = ", ".join(f"'{state}'" for state in machine.finished)
    return (
        CheckConstraint(f"state IN ({states})", name="state"),
        CheckConstraint(f"(worker_id IS NOT NULL) = (state = '{machine.working}')", name="worker"),
        CheckConstraint(f"(finished_at IS NOT NULL) = (state IN ({finished}))", name="finished"),
        CheckConstraint("(state <> 'failed') OR (error IS NOT NULL)", name="failure_has_error"),
        CheckConstraint("attempt BETWEEN 0 AND attempt_limit", name="attempt"),
    )
