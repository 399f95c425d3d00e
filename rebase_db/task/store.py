"""Tasks in the database: a changed definition becomes a new version, an unchanged one finds the old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from rebase_db.database.registry import find_or_insert
from rebase_db.errors import UnknownNameError, did_you_mean
from rebase_db.hashing import content_hash
from rebase_db.schema import Task, TaskVersion
from rebase_db.task.file import TaskFile

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task version as the database has it."""

    task_version_id: int
    name: str
    version: int
    instruction: str
    retrieval_instruction: str
    examples: list[dict[str, str]]
    retrieval_examples: list[dict[str, str]]
    labels: list[str] | None


def add_task(connection: Connection, file: TaskFile) -> StoredTask:
    """Register a task file; idempotent.

    Its definition makes a new version if it changed (`content_hash`, tag `task_version/v1`); everything else in it
    replaces the task's settings.
    """
    name, definition = file.name, file.definition()
    settings = file.model_dump(mode="json", exclude_unset=True)
    task_id = find_or_insert(connection, Task, ["name"], {"name": name, "settings": settings})
    digest = content_hash("task_version/v1", definition)
    # The task's row serialises two processes adding versions of it.
    connection.execute(update(Task).where(Task.task_id == task_id).values(settings=settings))
    known = connection.execute(
        select(TaskVersion.task_version_id).where(TaskVersion.task_id == task_id, TaskVersion.content_hash == digest)
    ).scalar_one_or_none()
    if known is None:
        version = connection.execute(
            select(func.coalesce(func.max(TaskVersion.version), 0) + 1).where(TaskVersion.task_id == task_id)
        ).scalar_one()
        connection.execute(
            insert(TaskVersion).values(task_id=task_id, version=version, content_hash=digest, **definition)
        )
    return _find(connection, name, TaskVersion.content_hash == digest)


def find_task(connection: Connection, name: str, version: int | None = None) -> StoredTask:
    """A task by name, its newest version unless one is given.

    Raises:
        UnknownNameError: There is none.
    """
    return _find(connection, name, None if version is None else TaskVersion.version == version)


def _find(connection: Connection, name: str, condition: Any) -> StoredTask:
    query = (
        select(
            TaskVersion.task_version_id,
            Task.name,
            TaskVersion.version,
            TaskVersion.instruction,
            TaskVersion.retrieval_instruction,
            TaskVersion.examples,
            TaskVersion.retrieval_examples,
            TaskVersion.labels,
        )
        .join(Task)
        .where(Task.name == name)
        .order_by(TaskVersion.version.desc())
        .limit(1)
    )
    row = connection.execute(query if condition is None else query.where(condition)).one_or_none()
    if row is None:
        names = list(connection.execute(select(Task.name)).scalars())
        raise UnknownNameError(f"There is no task {name!r}.", hint=did_you_mean(name, names))
    return StoredTask(*row)


def find_task_file(connection: Connection, name: str) -> TaskFile:
    """The newest file of a task, paths absolute as they were when it was added.

    Raises:
        UnknownNameError: There is no such task.
    """
    settings = connection.execute(select(Task.settings).where(Task.name == name)).scalar_one_or_none()
    if settings is None:
        names = list(connection.execute(select(Task.name)).scalars())
        raise UnknownNameError(f"There is no task {name!r}.", hint=did_you_mean(name, names))
    return TaskFile.model_validate(settings)


DEFINITION = ("instruction", "retrieval_instruction", "examples", "retrieval_examples", "labels", "reasoning", "notes")


def version_file(connection: Connection, task_version_id: int) -> dict[str, Any]:
    """A task version's file, to be validated: its own definition, and its task's present settings for the rest.

    Not the settings alone, which may be of a newer version by now: its teacher would answer another question.
    """
    row = connection.execute(
        select(Task.settings, *(getattr(TaskVersion, name) for name in DEFINITION))
        .join(TaskVersion)
        .where(TaskVersion.task_version_id == task_version_id)
    ).one()
    settings, *definition = row
    return {**settings, **dict(zip(DEFINITION, definition, strict=True))}


def list_tasks(connection: Connection) -> list[StoredTask]:
    """Every task in its newest version, by name."""
    names = connection.execute(select(Task.name).order_by(Task.name)).scalars()
    return [find_task(connection, name) for name in names]
