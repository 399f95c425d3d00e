"""What a pass reads goes through indexes, in a database with far more than the lane it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from rebase_db.sql import named
from tests.check.ground import Ground, new_ground
from tests.check.many import put_many

if TYPE_CHECKING:
    from sqlalchemy import Engine

EXAMPLES, MINE, CHECKS = 10_000, 500, 10


@pytest.fixture
def mine(engine: Engine) -> Ground:
    """A lane with 500 of the database's 10,000 examples, each with the results of ten checks."""
    others = new_ground(engine, "others")
    mine = new_ground(engine, "mine", others.chain)
    put_many(others, 2, EXAMPLES - MINE + 1)
    put_many(mine, EXAMPLES - MINE + 2, EXAMPLES + 1)
    mine.rows(
        "INSERT INTO check_definition (name, parameters, content_hash)"
        " SELECT 'check ' || n, '{}', sha256(CAST('c' || n AS bytea)) FROM generate_series(1, :checks) AS n",
        checks=CHECKS,
    )
    mine.rows(
        "INSERT INTO check_result (example_id, check_id, verdict, score, evidence)"
        " SELECT example_id, check_id, 'pass', 0, '{}' FROM example, check_definition WHERE name LIKE 'check %'"
        " ORDER BY example_id, check_id"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return mine


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan's nodes, the root first."""
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]


def explain(ground: Ground, query: str, **values: Any) -> list[dict[str, Any]]:
    ((((plan,),),),) = [ground.rows(f"EXPLAIN (ANALYZE, FORMAT JSON) {named(query)}", **values)]
    return nodes(plan["Plan"])


def scanned(plan: list[dict[str, Any]]) -> set[str]:
    """The tables that are read from one end to the other."""
    return {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}


def test_a_pass_reads_through_indexes(mine: Ground) -> None:
    """One database for both queries: it takes seconds to make."""
    lane = {"task_version_id": mine.lane[0], "encoder_id": mine.lane[1]}
    plan = explain(mine, "current_examples", **lane)
    assert plan[0]["Actual Rows"] == MINE
    assert not scanned(plan) & {"retrieval_link", "generation", "example"}, scanned(plan)
    ids = [row[0] for row in mine.rows(named("current_examples"), **lane)]
    assert len(ids) == MINE
    for some in (ids[:1], ids[:256], ids):
        plan = explain(mine, "newest_results", example_ids=some)
        assert plan[0]["Actual Rows"] == len(some) * CHECKS
        assert scanned(plan) <= {"check_definition"}, "which is as small as the number of settings ever used"
        indexes = {node.get("Index Name") for node in plan}
        assert "check_result_example_id_check_id_idx" in indexes
