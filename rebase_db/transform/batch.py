"""What has to be asked for a batch of rows, and what is there already."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rebase_db.transform.stored import stored_replies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from rebase_db.transform.provider import Usage
    from rebase_db.transform.rows import RowReader
    from rebase_db.transform.teacher import Answer, Prepared, Teacher


@dataclass(slots=True)
class Batch:
    """Rows of one batch, by what is to be done.

    Attributes:
        stored: Answers that were given before.
        ask: Rows to be asked for, one a prompt.
        same: Further rows with the prompt of an asked one, by its hash.
    """

    stored: list[Answer] = field(default_factory=list)
    ask: list[Prepared] = field(default_factory=list)
    same: dict[bytes, list[Prepared]] = field(default_factory=dict)

    @property
    def most(self) -> dict[int, Usage]:
        """The most that each call can take, by link."""
        return {each.link_id: each.most for each in self.ask}


def plan_batch(
    connection: Connection, reader: RowReader, teacher: Teacher, teacher_id: int, link_ids: Sequence[int]
) -> Batch:
    """Read rows, make them ready, and look for answers that are stored."""
    prepared = [teacher.prepare(row) for row in reader.read(connection, link_ids, teacher.whole_row_bytes)]
    if not teacher.reusable:
        return Batch(ask=prepared)
    batch = Batch()
    stored = stored_replies(connection, teacher_id, prepared)
    asked: set[bytes] = set()
    for each in prepared:
        if each.link_id in stored:
            generation_id, reply = stored[each.link_id]
            batch.stored.append(replace(teacher.read(each, reply), reused_from=generation_id))
        elif each.prompt_hash in asked:
            batch.same.setdefault(each.prompt_hash, []).append(each)
        else:
            asked.add(each.prompt_hash)
            batch.ask.append(each)
    return batch
