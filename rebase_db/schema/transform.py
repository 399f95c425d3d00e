"""Transform: teachers, prompts, every call made, what it may cost, and the examples that came of it."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - SQLAlchemy reads the annotation
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
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


class CallColumns:
    """What is kept of one call of a language model, also when it failed.

    `requests` counts how often it was sent, 0 when a stored reply was used again; `failures` says what the sendings
    before the last came to. `maybe_billed`: nobody knows whether the server did the work.
    """

    teacher_id: Mapped[int] = mapped_column(ForeignKey("teacher.teacher_id"))
    prompt_id: Mapped[int] = mapped_column(ForeignKey("prompt.prompt_id"))
    worker_id: Mapped[int] = mapped_column(ForeignKey("worker.worker_id"))
    prompt_hash: Mapped[Digest]
    raw_answer: Mapped[str | None]
    finish_reason: Mapped[str | None]
    response_form: Mapped[str | None]
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    cost: Mapped[Decimal | None]
    latency_seconds: Mapped[float] = mapped_column(REAL)
    requests: Mapped[SmallInt] = mapped_column(SmallInteger, server_default=text("1"))
    failures: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    maybe_billed: Mapped[bool] = mapped_column(server_default=text("false"))
    outcome: Mapped[str]
    reason: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class Generation(CallColumns, Base):
    """One call of a teacher for one link, kept also when it failed.

    `reused_from` is the call whose reply was used again, with nothing sent; its raw answer, tokens and cost stand there
    only. `reading` says how an example was read out of the answer, `cuts` which of the row's cells were shortened for
    the prompt: column to characters kept and characters there.
    """

    __tablename__ = "generation"

    generation_id: Mapped[BigKey]
    link_id: Mapped[BigInt] = mapped_column(BigInteger, ForeignKey("retrieval_link.link_id"))
    attempt: Mapped[SmallInt]
    reading: Mapped[str | None]
    cuts: Mapped[Any | None]
    reused_from: Mapped[int | None] = mapped_column(BigInteger)
    erased_by: Mapped[int | None] = mapped_column(ForeignKey("retraction.retraction_id"))

    __table_args__ = (
        # An attempt is one claim, and a claim makes at most one call that is kept: nothing is paid twice unseen.
        # With what is counted of calls, so that those of a whole dataset are counted from the index alone.
        UniqueConstraint("link_id", "attempt", postgresql_include=["outcome", "reused_from", "cost"]),
        UniqueConstraint("generation_id", "link_id"),
        # For finding a stored reply; and what is used again is, by key, of the same teacher and prompt.
        UniqueConstraint("teacher_id", "prompt_hash", "generation_id"),
        ForeignKeyConstraint(
            ["teacher_id", "prompt_hash", "reused_from"],
            ["generation.teacher_id", "generation.prompt_hash", "generation.generation_id"],
        ),
        CheckConstraint("outcome IN ('parsed', 'rejected', 'error')", name="outcome"),
        CheckConstraint("(outcome = 'parsed') = (reason IS NULL)", name="reason"),
        CheckConstraint("outcome <> 'parsed' OR reading IS NOT NULL", name="reading"),
        CheckConstraint("erased_by IS NULL OR (raw_answer IS NULL AND failures = '{}')", name="erased"),
        CheckConstraint(
            "reused_from IS NULL OR (requests = 0 AND raw_answer IS NULL AND cost IS NULL AND outcome <> 'error')",
            name="reused",
        ),
        *digest_check("prompt_hash"),
        Index(None, "prompt_id"),
        Index(None, "reused_from", postgresql_where=text("reused_from IS NOT NULL")),
    )


class Example(Base):
    """A training example. `content_hash` (tag `example/v1`) is over its input, output and rationale, erased or not."""

    __tablename__ = "example"

    example_id: Mapped[BigKey]
    generation_id: Mapped[BigInt] = mapped_column(unique=True)
    link_id: Mapped[BigInt]
    input: Mapped[str]
    output: Mapped[str]
    rationale: Mapped[str | None]
    content_hash: Mapped[Digest]
    created_at: Mapped[CreatedAt]
    erased_by: Mapped[int | None] = mapped_column(ForeignKey("retraction.retraction_id"))

    __table_args__ = (
        # Through both columns, so that an example's row is by construction the row its call was made for.
        ForeignKeyConstraint(["generation_id", "link_id"], ["generation.generation_id", "generation.link_id"]),
        CheckConstraint(
            "CASE WHEN erased_by IS NULL THEN input <> '' AND output <> ''"
            " ELSE input = '' AND output = '' AND rationale IS NULL END",
            name="not_empty",
        ),
        *digest_check("content_hash"),
        Index(None, "link_id"),
        Index(None, "content_hash"),
    )


class ExampleParent(Base):
    """An earlier example that an example was made from, beside its row. Parents are older, so there is no circle."""

    __tablename__ = "example_parent"

    example_id: Mapped[BigInt] = mapped_column(BigInteger, ForeignKey("example.example_id"), primary_key=True)
    parent_id: Mapped[BigInt] = mapped_column(BigInteger, ForeignKey("example.example_id"), primary_key=True)

    __table_args__ = (CheckConstraint("parent_id < example_id", name="older"), Index(None, "parent_id"))
