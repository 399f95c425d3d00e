"""Links in, answers out: reading claimed rows for a teacher and writing what became of each.

An answer carries the link it was made for, and is written under that link's claim, so that an example can only ever
hang on the row its teacher saw. Every answer leaves a `generation`; only accepted ones an `example` too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from rebase_db import queue
from rebase_db.control import revive
from rebase_db.database.registry import find_or_insert
from rebase_db.hashing import content_hash
from rebase_db.outcomes import Done, Fail, Outcome, Reject, Retry
from rebase_db.schema import (
    Dataset,
    DatasetColumn,
    DatasetSplit,
    Example,
    Generation,
    Prompt,
    RetrievalLink,
    SplitColumn,
    Teacher,
)
from rebase_db.schema import SourceRow as SourceRowTable
from rebase_db.transform.teacher import SourceRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from rebase_db.queue import Claim
    from rebase_db.transform.teacher import Answer, ParsedExample
    from rebase_db.transform.teacher import Teacher as TeacherProtocol


def register_teacher(connection: Connection, teacher: TeacherProtocol) -> tuple[int, int]:
    """Ids of the teacher and of its prompt, each stored once by content."""
    identity = teacher.identity
    teacher_id = find_or_insert(
        connection,
        Teacher,
        ["content_hash"],
        {
            "provider": identity["provider"],
            "model": identity["model"] or "",
            "identity": identity,
            "content_hash": content_hash("teacher/v1", identity),
        },
    )
    prompt = teacher.prompt
    prompt_id = find_or_insert(
        connection,
        Prompt,
        ["content_hash"],
        {"name": prompt.name, "template": prompt.text, "content_hash": prompt.content_hash},
    )
    return teacher_id, prompt_id


class RowReader:
    """Reads claimed links as source rows, with their columns in the order the source has them."""

    def __init__(self) -> None:
        self._orders: dict[tuple[int, int], list[str]] = {}

    def read(self, connection: Connection, claims: Sequence[Claim]) -> list[SourceRow]:
        """The rows of these links, in claim order."""
        rows = connection.execute(
            select(
                RetrievalLink.link_id,
                SourceRowTable.dataset_id,
                SourceRowTable.split_id,
                Dataset.name,
                DatasetSplit.config,
                SourceRowTable.content,
            )
            .join(
                SourceRowTable,
                (SourceRowTable.dataset_id == RetrievalLink.dataset_id)
                & (SourceRowTable.row_id == RetrievalLink.row_id),
            )
            .join(Dataset, Dataset.dataset_id == SourceRowTable.dataset_id)
            .join(
                DatasetSplit,
                (DatasetSplit.dataset_id == SourceRowTable.dataset_id)
                & (DatasetSplit.split_id == SourceRowTable.split_id),
            )
            .where(RetrievalLink.link_id.in_([claim.item_id for claim in claims]))
            .order_by(RetrievalLink.link_id)
        ).all()
        return [
            SourceRow(
                row.link_id, row.name, row.config, self._ordered(connection, row.dataset_id, row.split_id, row[5])
            )
            for row in rows
        ]

    def _ordered(
        self, connection: Connection, dataset_id: int, split_id: int, content: Mapping[str, str]
    ) -> dict[str, str]:
        order = self._orders.get((dataset_id, split_id))
        if order is None:
            order = self._orders[dataset_id, split_id] = list(
                connection.execute(
                    select(DatasetColumn.name)
                    .join(
                        SplitColumn,
                        (SplitColumn.dataset_id == DatasetColumn.dataset_id)
                        & (SplitColumn.column_id == DatasetColumn.column_id),
                    )
                    .where(SplitColumn.dataset_id == dataset_id, SplitColumn.split_id == split_id)
                    .order_by(SplitColumn.position)
                ).scalars()
            )
        return {name: content[name] for name in order if name in content}


def example_hash(example: ParsedExample) -> bytes:
    """`example.content_hash`: over input, output and rationale (tag `example/v1`)."""
    return content_hash(
        "example/v1", {"input": example.input, "output": example.output, "rationale": example.rationale}
    )


def outcome_of(answer: Answer) -> Outcome:
    """What an answer makes of its link."""
    if answer.parsed:
        return Done()
    if answer.reject_reason:
        return Reject(answer.reject_reason)
    if answer.retry_after is None:
        return Fail(answer.error or "")
    return Retry(answer.error or "", answer.retry_after)


def write_answers(
    connection: Connection,
    worker_id: int,
    claims: Mapping[int, Claim],
    answers: Sequence[Answer],
    *,
    teacher_id: int,
    prompt_id: int,
) -> None:
    """Write answers, in the transaction that moves their links on."""
    values = [_generation(answer, claims[answer.link_id], worker_id, teacher_id, prompt_id) for answer in answers]
    ids = dict(
        connection.execute(insert(Generation).returning(Generation.link_id, Generation.generation_id), values).all()
    )
    examples = [
        {
            "generation_id": ids[answer.link_id],
            "link_id": answer.link_id,
            "input": answer.parsed.input,
            "output": answer.parsed.output,
            "rationale": answer.parsed.rationale,
            "content_hash": example_hash(answer.parsed),
        }
        for answer in answers
        if answer.parsed
    ]
    if examples:
        connection.execute(insert(Example), examples)


def _generation(answer: Answer, claim: Claim, worker_id: int, teacher_id: int, prompt_id: int) -> dict[str, Any]:
    return {
        "link_id": answer.link_id,
        "attempt": claim.attempt,
        "teacher_id": teacher_id,
        "prompt_id": prompt_id,
        "worker_id": worker_id,
        "prompt_hash": answer.prompt_hash,
        "raw_answer": _storable(answer.raw),
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.usage.prompt_tokens,
        "completion_tokens": answer.usage.completion_tokens,
        "cost": answer.usage.cost,
        "latency_seconds": answer.latency_seconds,
        "outcome": "accepted" if answer.parsed else "rejected" if answer.reject_reason else "error",
        "reason": answer.reject_reason or answer.error,
    }


def _storable(raw: str | None) -> str | None:
    """The raw answer as Postgres can keep it: text cannot hold NUL, so an answer with one is kept as a JSON string."""
    return json.dumps(raw) if raw is not None and "\0" in raw else raw


def requeue_for(connection: Connection, task_version_id: int, encoder_id: int, teacher_id: int, prompt_id: int) -> int:
    """Put back links that failed, and those whose last answer came from another teacher or prompt; their number.

    Their old calls and examples stay; a new call will be a further attempt of the same link.
    """
    elsewhere = (
        select(Generation.generation_id)
        .where(
            Generation.link_id == RetrievalLink.link_id,
            Generation.attempt == RetrievalLink.attempt,
            (Generation.teacher_id != teacher_id) | (Generation.prompt_id != prompt_id),
        )
        .exists()
    )
    links = task_links(task_version_id, encoder_id)
    return revive(connection, queue.TRANSFORM, ("failed",), links) + revive(
        connection, queue.TRANSFORM, ("transformed", "distilled", "rejected"), links & elsewhere
    )


def transform_counts(connection: Connection, task_version_id: int, encoder_id: int) -> dict[str, int]:
    """Live links of a task by state."""
    return queue.counts(connection, queue.TRANSFORM, task_links(task_version_id, encoder_id))


def task_links(task_version_id: int, encoder_id: int) -> Any:
    """The links of one task version under one encoder, as a condition."""
    return (RetrievalLink.task_version_id == task_version_id) & (RetrievalLink.encoder_id == encoder_id)


def reject_reasons(connection: Connection, task_version_id: int, encoder_id: int) -> list[tuple[str, int]]:
    """Why live links were rejected, most frequent first; the reason is the part before the colon."""
    reason = func.split_part(RetrievalLink.error, ":", 1)
    rows = connection.execute(
        select(reason, func.count())
        .where(
            task_links(task_version_id, encoder_id),
            RetrievalLink.displaced_by.is_(None),
            RetrievalLink.state == "rejected",
        )
        .group_by(reason)
        .order_by(func.count().desc(), reason)
    )
    return [(name, count) for name, count in rows]
