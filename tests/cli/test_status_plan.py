"""What `rebase status` costs the database, by its plans: links and events are counted by index, never read through."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from cli.status import read
from rebase_db import queue
from rebase_db.analytics import fleet
from tests.queue import rows
from tests.schema.chain import lineage_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

LINKS = 40_000
LARGE = {"retrieval_link", "event"}
FILL = """
UPDATE retrieval_link SET state = 'transformed', finished_at = now() WHERE link_id % 10 < 5;
UPDATE retrieval_link SET state = 'failed', finished_at = now(), error = 'no' WHERE link_id % 1000 = 6;
UPDATE retrieval_link SET state = 'rejected', finished_at = now() WHERE link_id % 10 = 7;
UPDATE retrieval_link SET state = 'transforming', worker_id = (SELECT min(worker_id) FROM worker)
WHERE link_id % 1000 = 8;
INSERT INTO event (queue, item_id, attempt, from_state, to_state, event, at)
SELECT 'retrieval_link', link_id, 1, 'retrieved', 'transforming', 'claim', now() - interval '2 days'
FROM retrieval_link ORDER BY link_id;
INSERT INTO event (queue, item_id, attempt, from_state, to_state, event, at)
SELECT 'retrieval_link', link_id, 1, 'transforming', 'transformed', 'done', now() - interval '1 day'
FROM retrieval_link ORDER BY link_id;
INSERT INTO event (queue, item_id, attempt, from_state, to_state, event, at)
SELECT 'retrieval_link', link_id, 1, 'transforming', 'transformed', 'done', now() - interval '1 minute'
FROM retrieval_link WHERE link_id % 10 = 1 ORDER BY link_id
"""


@pytest.fixture(scope="module")
def full(server_url: str, template_database: str) -> Iterator[Engine]:
    """A database with 40,000 links in every state and two events each, after vacuum, as autovacuum leaves it."""
    with lineage_database(server_url, template_database) as (engine, chain):
        with engine.begin() as connection:
            rows.skip_keys(connection)
            rows.add_ready(connection, chain, queue.TRANSFORM, LINKS)
            for statement in FILL.split(";"):
                connection.execute(text(statement))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))
        yield engine


def plans(engine: Engine, run: Callable[[], Any]) -> Iterator[dict[str, Any]]:
    """Every node of the plans of the statements that something sends."""
    sent: list[tuple[str, Any]] = []

    def note(*passed: Any) -> None:
        sent.append(passed[2:4])

    event.listen(engine, "before_cursor_execute", note)
    run()
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        for statement, parameters in sent:
            if "retrieval_link" in statement or "event" in statement:
                found = connection.exec_driver_sql(f"EXPLAIN (FORMAT json) {statement}", parameters).scalar_one()
                yield from nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def test_status_reads_neither_links_nor_events_through(full: Engine) -> None:
    found = list(plans(full, lambda: read(full)))
    ways = {(node.get("Relation Name"), node["Node Type"]) for node in found if node.get("Relation Name") in LARGE}
    assert {relation for relation, _ in ways} == LARGE
    assert not [way for way in ways if way[1] == "Seq Scan"]
    by_index = {(node["Index Name"], node["Node Type"]) for node in found if "Index Name" in node}
    assert by_index >= {
        ("retrieval_link_retrieved_idx", "Index Only Scan"),
        ("retrieval_link_finished_idx", "Index Only Scan"),
        ("event_at_idx", "Bitmap Index Scan"),
    }
    assert [name for name, _ in by_index if name == "retrieval_link_transforming_idx"]


def test_the_list_of_workers_does_not_either(full: Engine) -> None:
    def run() -> None:
        with full.connect() as connection:
            fleet.workers(connection)
            fleet.finished_by_worker(connection)

    found = [node for node in plans(full, run) if node.get("Relation Name") in LARGE]
    assert {node["Relation Name"] for node in found} == LARGE
    assert not [node for node in found if node["Node Type"] == "Seq Scan"]


def test_the_numbers_are_right_all_the_same(full: Engine) -> None:
    (transform,) = [one for one in read(full).stages if one.stage == "transform"]
    with full.connect() as connection:
        counted = {
            row.state: row.rows
            for row in connection.execute(text("SELECT state, count(*) AS rows FROM retrieval_link GROUP BY state"))
        }
    assert transform.states == counted
    assert transform.rate == pytest.approx(LINKS / 10 / 60, rel=0.2)
