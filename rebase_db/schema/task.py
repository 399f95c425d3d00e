"""Tasks and their immutable versions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import Base, CreatedAt, Digest, IntKey, SmallInt, Timestamp, digest_check


class Task(Base):
    """A task by name, with its newest file: sources, teacher, student and benchmark, as commands take them from it.

    Workers take work of a higher `priority` first and none of a task that is paused.
    """

    __tablename__ = "task"

    task_id: Mapped[IntKey]
    name: Mapped[str] = mapped_column(unique=True)
    settings: Mapped[Any]
    priority: Mapped[SmallInt] = mapped_column(SmallInteger, server_default=text("0"))
    paused_at: Mapped[Timestamp | None]
    created_at: Mapped[CreatedAt]


class TaskVersion(Base):
    """What a task asks for. Any change makes a new version; `content_hash` (tag `task_version/v1`) is over the rest."""

    __tablename__ = "task_version"

    task_version_id: Mapped[IntKey]
    task_id: Mapped[int] = mapped_column(ForeignKey("task.task_id"))
    version: Mapped[int]
    instruction: Mapped[str]
    retrieval_instruction: Mapped[str]
    examples: Mapped[Any]
    retrieval_examples: Mapped[Any]
    labels: Mapped[Any | None]
    reasoning: Mapped[bool]
    notes: Mapped[str]
    content_hash: Mapped[Digest]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        UniqueConstraint("task_id", "version"),
        UniqueConstraint("task_id", "content_hash"),
        *digest_check("content_hash"),
    )
