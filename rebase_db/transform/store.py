"""Writes what became of links: a `generation` for every answer, and an `example` where it could be read as one.

An answer carries the link it was made for, and is written under that link's claim, so that an example can only ever
hang on the row its teacher saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb
from sqlalchemy import func, select

from rebase_db import queue
from rebase_db.control import revive
from rebase_db.database.registry import find_or_insert
from rebase_db.hashing import content_hash
from rebase_db.outcomes import Done, Fail, Outcome, Reject, Retry, Snooze
from rebase_db.schema import Generation, Prompt, RetrievalLink, Teacher
from rebase_db.sql import named
from rebase_db.transform.teacher import storable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from rebase_db.queue import Claim
    from rebase_db.transform.provider import Reply
    from rebase_db.transform.teacher import Answer, ParsedExample, PromptTemplate

FAILED_CHECK = "the example failed this check"
REFUSAL = "refusal"
"""`finish_reason` of an answer that the server set apart as a refusal."""
LEAST_SNOOZE_SECONDS = 1.0
ANSWERED = ("transformed", "distilled", "rejected")
"""States of a link that has an answer."""


def register_teacher(connection: Connection, identity: Mapping[str, Any], prompt: PromptTemplate) -> tuple[int, int]:
    """Ids of a teacher (or a judge) and of its prompt, each stored once by content."""
    teacher_id = find_or_insert(
        connection,
        Teacher,
        ["content_hash"],
        {
            "provider": identity["provider"],
            "model": identity["model"] or "",
            "identity": dict(identity),
            "content_hash": content_hash("teacher/v1", dict(identity)),
        },
    )
    prompt_id = find_or_insert(
        connection,
        Prompt,
        ["content_hash"],
        {"name": prompt.name, "template": prompt.text, "content_hash": prompt.content_hash},
    )
    return teacher_id, prompt_id


def known_teacher(connection: Connection, identity: Mapping[str, Any], prompt: PromptTemplate) -> tuple[int, int]:
    """Ids as of `register_teacher`, 0 for what was never registered; nothing is written."""
    teacher = select(Teacher.teacher_id).where(Teacher.content_hash == content_hash("teacher/v1", dict(identity)))
    template = select(Prompt.prompt_id).where(Prompt.content_hash == prompt.content_hash)
    return connection.execute(teacher).scalar() or 0, connection.execute(template).scalar() or 0


def example_hash(example: ParsedExample) -> bytes:
    """`example.content_hash`: over input, output and rationale (tag `example/v1`)."""
    return content_hash(
        "example/v1", {"input": example.input, "output": example.output, "rationale": example.rationale}
    )


def outcome_of(answer: Answer, failed_check: str | None = None) -> Outcome:
    """What an answer makes of its link; `failed_check` names the check that keeps its example out."""
    reply = answer.reply
    if failed_check is not None:
        return Reject(f"{failed_check}: {FAILED_CHECK}")
    if answer.parsed:
        return Done()
    if answer.reject_reason:
        return Reject(answer.reject_reason)
    if reply.retry_after is None:
        return Fail(reply.error or "")
    if reply.rate_limited:
        return Snooze(max(reply.retry_after, LEAST_SNOOZE_SECONDS), reply.error or "")
    return Retry(reply.error or "", reply.retry_after)


@dataclass(frozen=True, slots=True)
class CheckedLink:
    """What one check said of the example of one link."""

    link_id: int
    check_id: int
    verdict: str
    score: float
    evidence: Mapping[str, Any]


def write_answers(
    connection: Connection,
    worker_id: int,
    claims: Mapping[int, Claim],
    answers: Sequence[Answer],
    checked: Sequence[CheckedLink],
    *,
    task_version_id: int,
    teacher_id: int,
    prompt_id: int,
) -> dict[int, int]:
    """Write answers of links of one task version, in the transaction that moves them on; their generations, by link."""
    calls = [call_values(answer.reply, answer.prepared.prompt_hash) for answer in answers]
    examples = [answer.parsed for answer in answers]
    cuts = [{column: [cut.kept, cut.of] for column, cut in answer.prepared.cuts.items()} for answer in answers]
    values = {
        "task_version_id": task_version_id,
        "teacher_id": teacher_id,
        "prompt_id": prompt_id,
        "worker_id": worker_id,
        "link_ids": [answer.link_id for answer in answers],
        "attempts": [claims[answer.link_id].attempt for answer in answers],
        "prompt_hashes": [call["prompt_hash"] for call in calls],
        # What is used again stands where it is used from.
        "raw_answers": [
            call["raw_answer"] if answer.reused_from is None else None
            for call, answer in zip(calls, answers, strict=True)
        ],
        "finish_reasons": [call["finish_reason"] for call in calls],
        "response_forms": [call["response_form"] for call in calls],
        "prompt_tokens": [call["prompt_tokens"] for call in calls],
        "completion_tokens": [call["completion_tokens"] for call in calls],
        "costs": [call["cost"] for call in calls],
        "latencies": [call["latency_seconds"] for call in calls],
        "requests": [call["requests"] for call in calls],
        "failures": [Jsonb(call["failures"]) for call in calls],
        "maybe_billed": [call["maybe_billed"] for call in calls],
        "outcomes": [
            "parsed" if answer.parsed else "rejected" if answer.reject_reason else "error" for answer in answers
        ],
        "reasons": [answer.reject_reason or answer.reply.error for answer in answers],
        "readings": [answer.reading for answer in answers],
        "cuts": [Jsonb(cut) if cut else None for cut in cuts],
        "reused_from": [answer.reused_from for answer in answers],
        "inputs": [example and example.input for example in examples],
        "outputs": [example and example.output for example in examples],
        "rationales": [example and example.rationale for example in examples],
        "content_hashes": [example and example_hash(example) for example in examples],
        "checked_links": [found.link_id for found in checked],
        "check_ids": [found.check_id for found in checked],
        "verdicts": [found.verdict for found in checked],
        "scores": [found.score for found in checked],
        "evidence": [Jsonb(dict(found.evidence)) for found in checked],
    }
    return dict(connection.exec_driver_sql(named("write_answers"), values).all())


def call_values(reply: Reply, prompt_hash: bytes) -> dict[str, Any]:
    """The columns that every call of a language model has (`schema.transform.CallColumns`), but for its outcome."""
    said = reply.text if reply.text is not None else reply.refusal
    return {
        "prompt_hash": prompt_hash,
        "raw_answer": said if said is None else storable(said),
        "finish_reason": reply.finish_reason if reply.refusal is None else REFUSAL,
        "response_form": reply.response_form,
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "cost": reply.usage.cost,
        "latency_seconds": reply.latency_seconds,
        "requests": reply.requests,
        "failures": list(reply.failures),
        "maybe_billed": reply.maybe_billed,
    }


def requeue_for(connection: Connection, task_version_id: int, encoder_id: int, teacher_id: int, prompt_id: int) -> int:
    """Put back links that failed, and those whose last answer came from another teacher or prompt; their number.

    Their old calls and examples stay; a new call will be a further attempt of the same link.
    """
    links = task_links(task_version_id, encoder_id) & RetrievalLink.retracted_at.is_(None)
    return revive(connection, queue.TRANSFORM, ("failed",), links) + revive(
        connection, queue.TRANSFORM, ANSWERED, links & _answered_elsewhere(teacher_id, prompt_id)
    )


def links_to_ask(
    connection: Connection, task_version_id: int, encoder_id: int, teacher_id: int, prompt_id: int, limit: int | None
) -> list[int]:
    """The links that wait for this teacher's answer, or will after `requeue_for`, best ranked first."""
    state = RetrievalLink.state
    wanted = state.in_(["retrieved", "failed"]) | (state.in_(ANSWERED) & _answered_elsewhere(teacher_id, prompt_id))
    return list(
        connection.execute(
            select(RetrievalLink.link_id)
            .where(task_links(task_version_id, encoder_id), queue.TRANSFORM.eligible, wanted)
            .order_by(RetrievalLink.rank)
            .limit(limit)
        ).scalars()
    )


def _answered_elsewhere(teacher_id: int, prompt_id: int) -> ColumnElement[bool]:
    return (
        select(Generation.generation_id)
        .where(
            Generation.link_id == RetrievalLink.link_id,
            Generation.attempt == RetrievalLink.attempt,
            (Generation.teacher_id != teacher_id) | (Generation.prompt_id != prompt_id),
        )
        .exists()
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
            queue.TRANSFORM.eligible,
            RetrievalLink.state == "rejected",
        )
        .group_by(reason)
        .order_by(func.count().desc(), reason)
    )
    return [(name, count) for name, count in rows]
