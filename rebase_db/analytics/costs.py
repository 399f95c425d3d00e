"""What a task's teachers and judges took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Costs:
    """Rows of `costs.sql` and `judge_costs.sql`."""

    calls: list[dict[str, Any]]
    judges: list[dict[str, Any]]


def read_costs(connection: Connection, task: str) -> Costs:
    """What calls for a task took, by dataset, prompt and teacher, and what its judges took."""

    def rows(name: str) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(text(named(name)), {"task": task}).mappings()]

    return Costs(rows("costs"), rows("judge_costs"))
