"""Check: what was looked for in examples, what was found, and what a judge said."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, BigInt, BigKey, CreatedAt, Digest, IntKey, digest_check
from rebase_db.schema.transform import CallColumns


class CheckDefinition(Base):
    """A check with its version, thresholds and action; `content_hash` (tag `check/v1`) is over name and parameters."""

    __tablename__ = "check_definition"

    check_id: Mapped[IntKey]
    name: Mapped[str]
    parameters: Mapped[Any]
    content_hash: Mapped[Digest] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]

    __table_args__ = (*digest_check("content_hash"),)


class Judgement(CallColumns, Base):
    """One call of a judge for one example, kept also when it failed; `points` from 1 (does not fit) to 5 (fits)."""

    __tablename__ = "judgement"

    judgement_id: Mapped[BigKey]
    example_id: Mapped[BigInt] = mapped_column(BigInteger, ForeignKey("example.example_id"))
    points: Mapped[int | None] = mapped_column(SmallInteger)
    erased_by: Mapped[int | None] = mapped_column(ForeignKey("retraction.retraction_id"))

    __table_args__ = (
        UniqueConstraint("judgement_id", "example_id"),
        CheckConstraint("outcome IN ('judged', 'rejected', 'error')", name="outcome"),
        CheckConstraint("(outcome = 'judged') = (points IS NOT NULL)", name="points"),
        CheckConstraint("points BETWEEN 1 AND 5", name="points_range"),
        CheckConstraint("outcome = 'judged' OR reason IS NOT NULL", name="reason"),
        CheckConstraint("erased_by IS NULL OR (raw_answer IS NULL AND failures = '{}')", name="erased"),
        *digest_check("prompt_hash"),
        Index(None, "example_id"),
        Index(None, "teacher_id"),
        Index(None, "prompt_id"),
    )


class CheckResult(Base):
    """What a check said of an example. The newest of an example and a check's name is the one that counts.

    `other_example_id` is the example that is repeated, `judgement_id` the call that gave the score.
    """

    __tablename__ = "check_result"

    check_result_id: Mapped[BigKey]
    example_id: Mapped[BigInt] = mapped_column(BigInteger, ForeignKey("example.example_id"))
    check_id: Mapped[int] = mapped_column(ForeignKey("check_definition.check_id"))
    verdict: Mapped[str]
    score: Mapped[float] = mapped_column(REAL)
    evidence: Mapped[Any]
    other_example_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("example.example_id"))
    judgement_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[CreatedAt]
    erased_by: Mapped[int | None] = mapped_column(ForeignKey("retraction.retraction_id"))

    __table_args__ = (
        # Through both columns, so that a verdict can only rest on what was said of its own example.
        ForeignKeyConstraint(["judgement_id", "example_id"], ["judgement.judgement_id", "judgement.example_id"]),
        CheckConstraint("verdict IN ('pass', 'warn', 'fail')", name="verdict"),
        CheckConstraint("erased_by IS NULL OR evidence = '{}'", name="erased"),
        Index(None, "example_id", "check_id"),
    )
