"""What transforming would take, before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from rebase_db.sql import named
from rebase_db.transform.batch import plan_batch
from rebase_db.transform.rows import RowReader
from rebase_db.transform.store import links_to_ask

if TYPE_CHECKING:
    from decimal import Decimal

    from sqlalchemy import Connection

    from rebase_db.queue import Lane
    from rebase_db.transform.teacher import Teacher

_ROWS_A_SLICE = 512


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is there to do, and what it would take.

    Attributes:
        rows: Rows that wait for an answer.
        stored: Of these, rows whose answer is stored and costs nothing.
        prompts: Prompts that would be sent.
        cut: Rows that would be cut.
        prompt_tokens: Of all prompts, as the teacher counts or estimates them.
        answer_tokens: Of all answers, from the mean so far; None before the first answer.
        most_answer_tokens: Of all answers, if each were as long as it may be.
        cost: With `answer_tokens`; None where that or a price is unknown.
        most_cost: With `most_answer_tokens`; None where no price is known.
        seconds: With the mean time of an answer so far and the teacher kept busy; None before the first answer.
    """

    rows: int
    stored: int
    prompts: int
    cut: int
    prompt_tokens: int
    answer_tokens: int | None
    most_answer_tokens: int
    cost: Decimal | None
    most_cost: Decimal | None
    seconds: float | None


def estimate(
    connection: Connection, lane: Lane, teacher: Teacher, teacher_id: int, prompt_id: int, rows: int | None
) -> Estimate:
    """Make every waiting row ready, or the first `rows` of them, and count; nothing is asked or written."""
    waiting = links_to_ask(connection, lane[0], lane[1], teacher_id, prompt_id, rows)
    reader = RowReader()
    stored = cut = prompt_tokens = most_answer_tokens = 0
    asked: set[bytes] = set()
    for start in range(0, len(waiting), _ROWS_A_SLICE):
        batch = plan_batch(connection, reader, teacher, teacher_id, waiting[start : start + _ROWS_A_SLICE])
        stored += len(batch.stored) + sum(map(len, batch.same.values()))
        for each in batch.ask:
            if teacher.reusable and each.prompt_hash in asked:
                stored += 1
                continue
            asked.add(each.prompt_hash)
            cut += bool(each.cuts)
            prompt_tokens += teacher.prompt_tokens(each)
            most_answer_tokens += each.most.completion_tokens or 0
    prompts = len(waiting) - stored
    mean_tokens, mean_seconds = connection.execute(
        text(named("teacher_habits")), {"task_version_id": lane[0], "teacher_id": teacher_id}
    ).one()
    answer_tokens = None if mean_tokens is None else round(mean_tokens * prompts)
    return Estimate(
        rows=len(waiting),
        stored=stored,
        prompts=prompts,
        cut=cut,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        most_answer_tokens=most_answer_tokens,
        cost=None if answer_tokens is None else teacher.price(prompt_tokens, answer_tokens),
        most_cost=teacher.price(prompt_tokens, most_answer_tokens),
        seconds=None if mean_seconds is None else mean_seconds * prompts / teacher.in_flight,
    )
