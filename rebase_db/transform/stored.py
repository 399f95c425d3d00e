"""Answers that were given and paid for before: the same prompt to the same teacher is not sent again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from rebase_db.schema import Generation
from rebase_db.transform.provider import Reply, ResponseForm, Usage
from rebase_db.transform.store import REFUSAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from rebase_db.transform.teacher import Prepared


def stored_replies(
    connection: Connection, teacher_id: int, prepared: Sequence[Prepared]
) -> dict[int, tuple[int, Reply]]:
    """Of rows whose prompt this teacher has answered, by link: the generation with the answer, and the reply.

    Where there are several, the first. Answers without text (a refusal by a content filter) count as well, failed calls
    and those that were erased do not.
    """
    hashes = {each.prompt_hash for each in prepared}
    found = connection.execute(
        select(
            Generation.prompt_hash,
            Generation.generation_id,
            Generation.raw_answer,
            Generation.finish_reason,
            Generation.response_form,
        )
        .ext(distinct_on(Generation.prompt_hash))
        .where(
            Generation.teacher_id == teacher_id,
            Generation.prompt_hash.in_(hashes),
            Generation.outcome != "error",
            Generation.reused_from.is_(None),
            Generation.erased_by.is_(None),
        )
        .order_by(Generation.prompt_hash, Generation.generation_id)
    )
    answers = {row.prompt_hash: row for row in found}
    return {
        each.link_id: (
            row.generation_id,
            stored_reply(each.link_id, row.raw_answer, row.finish_reason, row.response_form),
        )
        for each in prepared
        if (row := answers.get(each.prompt_hash)) is not None
    }


def stored_reply(key: int, raw_answer: str | None, finish_reason: str | None, response_form: str | None) -> Reply:
    """A stored answer as a reply for which nothing was sent."""
    refused = finish_reason == REFUSAL
    return Reply(
        key=key,
        text=None if refused else raw_answer,
        refusal=raw_answer if refused else None,
        latency_seconds=0.0,
        finish_reason=finish_reason,
        response_form=None if response_form is None else ResponseForm(response_form),
        requests=0,
    )


def same_reply(reply: Reply, key: int) -> Reply:
    """A reply just given, for another row with the same prompt."""
    return replace(reply, key=key, latency_seconds=0.0, requests=0, failures=(), usage=Usage())
