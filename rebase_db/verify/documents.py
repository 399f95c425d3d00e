"""Content hashes of records that are few and hold JSON of any shape: hashed here, as they were when written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rebase_db.hashing import content_hash
from rebase_db.task.store import DEFINITION
from rebase_db.verify.lie import Lie
from rebase_db.verify.read import stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_DEFINITION = ", ".join(f"'{name}', {name}" for name in DEFINITION)

DOCUMENTS = (
    ("task_version", "task_version_id", "content_hash", "task_version/v1", f"jsonb_build_object({_DEFINITION})"),
    ("teacher", "teacher_id", "content_hash", "teacher/v1", "identity"),
    ("prompt", "prompt_id", "content_hash", "prompt-template/v1", "jsonb_build_object('name', name, 'text', template)"),
    (
        "check_definition",
        "check_id",
        "content_hash",
        "check/v1",
        "jsonb_build_object('name', name, 'parameters', parameters)",
    ),
    (
        "training_run",
        "training_run_id",
        "run_key",
        "training_run/v1",
        (
            "(SELECT jsonb_build_object('manifest', encode(manifest_hash, 'hex'), 'student', student, 'base_weights',"
            " encode(base_weights_hash, 'hex'), 'hyperparameters', hyperparameters, 'seed', seed)"
            " || CASE WHEN parent_run_id IS NULL THEN '{}' ELSE jsonb_build_object('parent', jsonb_build_array("
            "parent_run_id, (SELECT encode(parent.artifact_hash, 'hex') FROM training_run AS parent"
            " WHERE parent.training_run_id = training_run.parent_run_id))) END"
            " FROM training_set WHERE training_set.training_set_id = training_run.training_set_id)"
        ),
    ),
)
"""Table, key, column of the hash, tag, and in SQL the document it is over."""


def check_documents(connection: Connection) -> Iterator[Lie]:
    """Hashes of task versions, teachers, prompts and check definitions, and the keys of training runs."""
    for table, key, column, tag, document in DOCUMENTS:
        query = f"SELECT {key}, {column}, ({document})::text FROM {table} ORDER BY {key}"  # noqa: S608 - as above
        for number, stored, spelt in stream(connection, query):
            expected = _hash(tag, spelt)
            if expected != stored.hex():
                yield Lie(table, {key: number}, f"{column} is not that of its content", expected, stored.hex())


def _hash(tag: str, document: str | None) -> str:
    """In hex; where the document has none, why."""
    try:
        value: Any = None if document is None else json.loads(document)
        return content_hash(tag, value).hex()
    except (ValueError, RecursionError) as error:  # a number without end, say, which no writer of ours has put there
        return f"none: {error}"
