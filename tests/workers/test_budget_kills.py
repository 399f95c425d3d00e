"""Workers of tasks with limits die by SIGKILL: what nobody heard the end of counts as spent, and limits hold."""

from __future__ import annotations

import signal
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.faults import FaultPoint
from rebase_db.transform.budget import Limits, set_budget
from tests.pipeline.end_state import illegal_events
from tests.workers.slow_teacher import SlowTeacher

if TYPE_CHECKING:
    from tests.transform.stub_server import Asked, Reply
    from tests.workers.conftest import Workshops
    from tests.workers.world import Workshop

BATCH = 8
PROMPT_TOKENS, ANSWER_TOKENS = 400, 20
PRICE: dict[str, Any] = {"input_price": Decimal(1), "output_price": Decimal(10)}
COST = Decimal(PROMPT_TOKENS + 10 * ANSWER_TOKENS) / 1_000_000
# Enough for some of the rows, after all that a worker may lose.
LIMITS = {
    "spent": {
        "fruit-or-tool": Limits(tokens=45 * (PROMPT_TOKENS + ANSWER_TOKENS)),
        "is-it-food": Limits(cost=30 * COST),
    },
    "examples": {"fruit-or-tool": Limits(examples=21), "is-it-food": Limits(cost=Decimal(1), examples=19)},
}
POINTS = [point for point in FaultPoint if point.startswith("transform.")]
TURN = {FaultPoint.TRANSFORM_ANSWERED: 12}


class BillingTeacher(SlowTeacher):
    """Says what each answer took."""

    def _reply(self, asked: Asked) -> Reply:
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": ANSWER_TOKENS}
        return replace(super()._reply(asked), usage=usage)


@pytest.mark.slow
@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("point", POINTS)
def test_limits_hold_and_sums_agree_after_a_worker_died(workshops: Workshops, point: FaultPoint, limits: str) -> None:
    arguments = ("--stage", "transform", "--concurrency", "1", "--batch", str(BATCH), "--drain")
    with workshops.open("transform") as workshop, BillingTeacher() as teacher:
        teacher.teach(workshop, max_tokens=ANSWER_TOKENS, **PRICE)
        with workshop.engine.begin() as connection:
            for task, its in LIMITS[limits].items():
                set_budget(connection, task, its)
        dying = workshop.work(*arguments, fault=f"{point}:{TURN.get(point, 2)}")
        assert dying.end() == -signal.SIGKILL, f"{point} was not reached: {dying.said()}"
        within_limits(workshop)
        others = [workshop.work(*arguments) for _ in range(2)]
        for other in others:
            assert other.end() == 0, other.said()

        within_limits(workshop)
        sums_agree(workshop)
        assert illegal_events(workshop.engine) == []
        presumed = workshop.query("SELECT count(*) FROM reservation WHERE presumed")[0]
        if point != FaultPoint.TRANSFORM_COMMITTED:  # others of its batch may be under way then, or not
            assert (presumed == 0) == (point == FaultPoint.TRANSFORM_CLAIMING)
        exhausted = "SELECT name FROM budget JOIN task USING (task_id) WHERE exhausted_at IS NOT NULL ORDER BY name"
        assert workshop.query(exhausted) == sorted(LIMITS[limits])
        left = workshop.query("SELECT state, count(*) FROM retrieval_link GROUP BY state ORDER BY state")
        assert {state for state, _ in left} == {"retrieved", "transformed"}, "some were asked for, and some were not"
        accepted = {
            name: workshop.query(
                "SELECT count(*) FROM retrieval_link JOIN task_version USING (task_version_id)"
                " JOIN task USING (task_id) WHERE state = 'transformed' AND name = :name",
                name=name,
            )[0]
            for name in LIMITS[limits]
        }
        assert {name: accepted[name] for name, its in LIMITS[limits].items() if its.examples is not None} == {
            name: its.examples for name, its in LIMITS[limits].items() if its.examples is not None
        }
        # Calls the server did and would bill: each is counted, at what it took or at more.
        tokens, cost = workshop.query("SELECT sum(spent_tokens), sum(spent_cost) FROM budget")[0]
        assert tokens >= len(teacher.asked) * (PROMPT_TOKENS + ANSWER_TOKENS)
        assert cost >= len(teacher.asked) * COST


def within_limits(workshop: Workshop) -> None:
    """No limit is passed, not even if all that is set aside comes to be spent."""
    passed = workshop.query(
        """
        SELECT * FROM budget WHERE spent_tokens + held_tokens > max_tokens OR spent_cost + held_cost > max_cost
        OR max_examples < (
            SELECT count(*) FROM retrieval_link JOIN task_version USING (task_version_id)
            WHERE task_version.task_id = budget.task_id AND state IN ('transformed', 'transforming')
        )"""
    )
    assert passed == []


def sums_agree(workshop: Workshop) -> None:
    """Budgets, what was set aside call by call, and the calls themselves tell of the same money; nothing is held."""
    budgets = workshop.query(
        """
        SELECT task_id, budget.spent_tokens, budget.spent_cost, held_tokens, held_cost,
            count(*) FILTER (WHERE settled_at IS NULL), sum(its.spent_tokens), sum(its.spent_cost)
        FROM budget JOIN reservation AS its USING (task_id)
        GROUP BY task_id, budget.spent_tokens, budget.spent_cost, held_tokens, held_cost"""
    )
    assert len(budgets) == 2
    for task_id, tokens, cost, held_tokens, held_cost, still_open, sum_of_tokens, sum_of_costs in budgets:
        where = f"task {task_id}: {tokens} tokens, {cost}"
        assert (held_tokens, held_cost, still_open) == (0, 0, 0), where
        assert (sum_of_tokens, sum_of_costs) == (tokens, cost), where
    differing: list[Any] = workshop.query(
        """
        SELECT link_id, attempt, presumed, outcome, spent_tokens, spent_cost, prompt_tokens, completion_tokens,
            call.cost AS cost
        FROM reservation FULL JOIN generation AS call USING (link_id, attempt)
        WHERE CASE WHEN presumed THEN generation_id IS NOT NULL ELSE
            (spent_tokens, spent_cost) IS DISTINCT FROM (prompt_tokens + completion_tokens, call.cost) END"""
    )
    assert differing == []
    twice = "SELECT link_id, attempt FROM reservation GROUP BY link_id, attempt HAVING count(*) > 1"
    assert workshop.query(twice) == []
