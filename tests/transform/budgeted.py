"""A task of its own with links that wait, what a claim of them would take, and its budget's books."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, text

from rebase_db import queue
from rebase_db.queue import FIRST_PLACE
from rebase_db.schema import Budget, Task
from rebase_db.transform.budget import BudgetState, Limits, read_budget, set_budget
from rebase_db.transform.provider import Usage
from rebase_db.transform.reservation import Spent, claim_within, settle
from tests.queue import rows
from tests.schema.chain import build

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.outcomes import Outcome
    from rebase_db.queue import Claim, Lane
    from rebase_db.transform.reservation import Weigh

BOOKS = """
    SELECT
        budget.spent_tokens, budget.spent_cost, budget.held_tokens, budget.held_cost,
        coalesce(sum(held.spent_tokens), 0) AS spent_tokens_sum,
        coalesce(sum(held.spent_cost), 0) AS spent_cost_sum,
        coalesce(sum(held.tokens) FILTER (WHERE held.settled_at IS NULL), 0) AS held_tokens_sum,
        coalesce(sum(held.cost) FILTER (WHERE held.settled_at IS NULL), 0) AS held_cost_sum
    FROM budget LEFT JOIN reservation AS held USING (task_id)
    WHERE task_id = :task_id GROUP BY budget.task_id"""


def taking(tokens: int, cost: str | None = None) -> Usage:
    """What a call takes, its tokens all of the prompt."""
    return Usage(tokens, 0, None if cost is None else Decimal(cost))


def each_takes(usage: Usage, free: Sequence[int] = ()) -> Weigh:
    """Every claimed link takes this, but for those that cost nothing."""
    return lambda _, claims: {claim.item_id: usage for claim in claims if claim.item_id not in free}


@dataclass
class Budgeted:
    """A task's lane; `links` in the order they are claimed in."""

    engine: Engine
    name: str
    task_id: int
    lane: Lane
    links: list[int]
    attempts: dict[int, int] = field(default_factory=dict)

    def limit(self, **limits: Any) -> None:
        with self.engine.begin() as connection:
            set_budget(connection, self.name, Limits(**limits))

    def worker(self, **values: Any) -> int:
        with self.engine.begin() as connection:
            return rows.add_worker(connection, **values)

    def claim(self, worker: int, limit: int, weigh: Weigh) -> list[int]:
        """The links claimed, by id; committed."""
        with self.engine.begin() as connection:
            claims, _ = claim_within(connection, worker, self.lane, limit, FIRST_PLACE, weigh)
        self.attempts |= {claim.item_id: claim.attempt for claim in claims}
        return [claim.item_id for claim in claims]

    def claim_of(self, link: int) -> Claim:
        """The last claim of a link."""
        return queue.Claim(link, self.attempts[link], last=False)

    def settle(self, worker: int, usages: Mapping[int, Usage | None], outcome: Outcome) -> list[int]:
        """Settle links as the runner does: hold, count, move on; those that were still the worker's."""
        with self.engine.begin() as connection:
            held = queue.hold(connection, queue.TRANSFORM, worker, [self.claim_of(link) for link in usages])
            spent = [Spent(claim.item_id, claim.attempt, usages[claim.item_id]) for claim in held]
            settle(connection, self.lane[0], worker, spent)
            queue.settle(connection, queue.TRANSFORM, worker, [(claim, outcome) for claim in held])
        return [claim.item_id for claim in held]

    def state(self) -> BudgetState:
        with self.engine.connect() as connection:
            found = read_budget(connection, self.name)
        assert found is not None
        return found

    def tokens(self) -> tuple[int, int]:
        """Tokens spent and set aside, once the counters have been held against the reservations."""
        with self.engine.connect() as connection:
            check_books(connection, self.task_id)
        state = self.state()
        return state.spent_tokens, state.held_tokens

    def reservations(self) -> list[tuple[int, int | None, bool]]:
        """Link, tokens spent and whether they are presumed, in the order of being set aside."""
        query = "SELECT link_id, spent_tokens, presumed FROM reservation WHERE task_id = :id ORDER BY reservation_id"
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), {"id": self.task_id})]


def check_books(connection: Connection, task_id: int) -> None:
    """The budget's counters are the sums over its reservations, and no limit is passed."""
    books = connection.execute(text(BOOKS), {"task_id": task_id}).one()
    assert books[:4] == books[4:], "counters and reservations differ"
    limits = connection.execute(select(Budget.max_tokens, Budget.max_cost).where(Budget.task_id == task_id)).one()
    assert limits.max_tokens is None or books.spent_tokens + books.held_tokens <= limits.max_tokens
    assert limits.max_cost is None or books.spent_cost + books.held_cost <= limits.max_cost


def begin(engine: Engine, count: int) -> Budgeted:
    """A lineage, and a task of its own with `count` links that wait."""
    with engine.begin() as connection:
        chain = build(connection)
        return _task(engine, connection, chain, count, "frugal")


def _task(engine: Engine, connection: Connection, chain: dict[str, Any], count: int, name: str) -> Budgeted:
    version_id = rows.add_task(connection, name)
    encoder_id = int(chain["encoder"]["encoder_id"])
    retrieval_id = rows.add_retrieval(connection, version_id, encoder_id)
    own = chain | {"task_version": {"task_version_id": version_id}, "retrieval": {"retrieval_id": retrieval_id}}
    links = rows.add_ready(connection, own, queue.TRANSFORM, count)
    task_id = connection.execute(select(Task.task_id).where(Task.name == name)).scalar_one()
    return Budgeted(engine, name, task_id, (version_id, encoder_id), links[::-1])


def add_generation(
    connection: Connection, link_id: int, worker_id: int, *, attempt: int = 1, tokens: int | None = 10, **values: Any
) -> int:
    """The id of a call that was made for a link, without a budget's knowledge; of the lineage's teacher."""
    from rebase_db.schema import Generation
    from tests.schema.chain import digest

    plain = {
        "link_id": link_id, "attempt": attempt, "worker_id": worker_id, "teacher_id": 1, "prompt_id": 1,
        "prompt_hash": digest(("prompt", link_id)), "raw_answer": "{}", "latency_seconds": 0.1, "outcome": "rejected",
        "reason": "not_json: {}", "prompt_tokens": tokens, "completion_tokens": None if tokens is None else 0,
    }  # fmt: skip
    made = insert(Generation).values(plain | values).returning(Generation.generation_id)
    return connection.execute(made).scalar_one()
