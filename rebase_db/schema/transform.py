"""Transform: teachers, prompts, every call made, and the examples that came of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import REAL, BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, BigInt, BigKey, CreatedAt, Digest, IntKey, SmallInt, digest_check


class Teacher(Base):
    """Who answers: provider, model, sampling. `content_hash` (tag `teacher/v1`) is over `identity`."""

    __tablename__ = "teacher"

    teacher_id: Mapped[IntKey]
    provider: Mapped[str]
    model: Mapped[str]
    identity: Mapped[Any]
    content_hash: Mapped[Digest] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]

    __table_args__ = (*digest_check("content_hash"),)


class Prompt(Base):
    """A prompt template by name and content; `content_hash` as the template's own module defines it."""

    __tablename__ = "prompt"

    prompt_id: Mapped[IntKey]
    name: Mapped[str]
    template: Mapped[str]
    content_hash: Mapped[Digest] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]

    __table_args__ = (*digest_check("content_hash"),)


class Generation(Base):
    """One call of a teacher for one link, kept also when it failed."""

    __tablename__ = "generation"

    generation_id: Mapped[BigKey]
    link_id: Mapped[BigInt] = mapped_column(BigInteger, ForeignKey("retrieval_link.link_id"))
    attempt: Mapped[SmallInt]
    teacher_id: Mapped[int] = mapped_column(ForeignKey("teacher.teacher_id"))
    prompt_id: Mapped[int] = mapped_column(ForeignKey("prompt.prompt_id"))
    worker_id: Mapped[int] = mapped_column(ForeignKey("worker.worker_id"))
    prompt_hash: Mapped[Digest]
    raw_answer: Mapped[str | None]
    finish_reason: Mapped[str | None]
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    cost: Mapped[Decimal | None]
    latency_seconds: Mapped[float] = mapped_column(REAL)
    outcome: Mapped[str]
    reason: Mapped[str | None]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        # An attempt is one claim, and a claim makes at most one call that is kept: nothing is paid twice unseen.
        UniqueConstraint("link_id", "attempt"),
        UniqueConstraint("generation_id", "link_id"),
        CheckConstraint("outcome IN ('accepted', 'rejected', 'error')", name="outcome"),
        CheckConstraint("(outcome = 'accepted') = (reason IS NULL)", name="reason"),
        *digest_check("prompt_hash"),
        Index(None, "teacher_id"),
        Index(None, "prompt_id"),
    )


class Example(Base):
    """A training example. `content_hash` (tag `example/v1`) is over input, output and rationale."""

    __tablename__ = "example"

    example_id: Mapped[BigKey]
    generation_id: Mapped[BigInt] = mapped_column(unique=True)
    link_id: Mapped[BigInt]
    input: Mapped[str]
    output: Mapped[str]
    rationale: Mapped[str | None]
    content_hash: Mapped[Digest]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        # Through both columns, so that an example's row is by construction the row its call was made for.
        ForeignKeyConstraint(["generation_id", "link_id"], ["generation.generation_id", "generation.link_id"]),
        CheckConstraint("input <> '' AND output <> ''", name="not_empty"),
        *digest_check("content_hash"),
        Index(None, "link_id"),
        Index(None, "content_hash"),
    )
