"""What a claim costs the database, by its plan: the partial index and the batch, however many rows there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql
from sqlalchemy import event, text, update

from rebase_db import queue
from rebase_db.database.copy import driver
from rebase_db.embed.plan import chunks_of
from rebase_db.retrieve.run import retrievals_of
from rebase_db.transform.store import task_links
from tests.queue import rows
from tests.schema.chain import NOW, lineage_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import ColumnElement, Connection, Engine

    from rebase_db.queue import Queue
    from tests.schema.chain import Row

ROWS = 20_000
BATCH = 10

# Each queue with the scope its stage claims in, and the indexes that claiming and rescuing must go by.
SCOPES: dict[str, tuple[Queue, Callable[[dict[str, Row]], ColumnElement[bool] | None], str, str]] = {
    "embed": (
        queue.EMBED,
        lambda chain: chunks_of(chain["encoder"]["encoder_id"]),
        "embed_chunk_waiting_idx",
        "embed_chunk_running_idx",
    ),
    "retrieve": (
        queue.RETRIEVE,
        lambda chain: retrievals_of(chain["encoder"]["encoder_id"]),
        "retrieval_waiting_idx",
        "retrieval_running_idx",
    ),
    "transform": (
        queue.TRANSFORM,
        lambda chain: task_links(chain["task_version"]["task_version_id"], chain["encoder"]["encoder_id"]),
        "retrieval_link_retrieved_idx",
        "retrieval_link_transforming_idx",
    ),
    "distill": (queue.DISTILL, lambda _: None, "training_run_waiting_idx", "training_run_running_idx"),
}


@pytest.fixture(scope="module")
def many(server_url: str, template_database: str) -> Iterator[tuple[Engine, dict[str, Row]]]:
    """A database with 20,000 rows in every queue, the first half of them finished, and fresh statistics."""
    with lineage_database(server_url, template_database) as (engine, chain):
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))  # keys are known to be right here
            for of, *_ in SCOPES.values():
                ids = rows.add_ready(connection, chain, of, ROWS)
                finished = {"state": of.machine.next_state_of("done"), "finished_at": NOW, **rows.DONE.get(of.name, {})}
                connection.execute(update(of.table).where(of.key < ids[ROWS // 2]).values(finished))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))
        yield engine, chain


@pytest.fixture
def connection(many: tuple[Engine, dict[str, Row]]) -> Iterator[Connection]:
    with many[0].connect() as connection:
        yield connection
        connection.rollback()


def sent(engine: Engine, run: Callable[[], Any]) -> tuple[str, dict[str, Any]]:
    """The last statement that something sends."""
    statements: list[tuple[str, dict[str, Any]]] = []

    def note(_: Any, __: Any, statement: str, parameters: dict[str, Any], *___: Any) -> None:
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    run()
    event.remove(engine, "before_cursor_execute", note)
    return statements[-1]


def explain(
    connection: Connection, statement: str, parameters: dict[str, Any], *, generic: bool
) -> list[dict[str, Any]]:
    """Run a statement as a prepared one and return the nodes of its plan, with what each did."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    for place, name in enumerate(names, 1):
        statement = statement.replace(f"%({name})s", f"${place}")
    cursor = driver(connection).cursor()
    mode = "force_generic_plan" if generic else "force_custom_plan"
    cursor.execute(sql.SQL("SET LOCAL plan_cache_mode = {}").format(mode))
    cursor.execute(f"PREPARE asked AS {statement}".encode())
    values = sql.SQL(", ").join(sql.Literal(parameters[name]) for name in names)
    cursor.execute(sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked({})").format(values))
    ((plan,),) = cursor.fetchall()
    cursor.execute("DEALLOCATE asked")
    return list(nodes_of(plan[0]["Plan"]))


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from nodes_of(child)


def rows_looked_at(nodes: list[dict[str, Any]]) -> int:
    """Rows that scans of tables and indexes read, kept or thrown away."""
    return sum(
        round(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
        for node in nodes
        if "Scan" in node["Node Type"] and ("Relation Name" in node or "Index Name" in node)
    )


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("stage", SCOPES)
def test_a_claim_reads_its_batch_by_the_partial_index(
    many: tuple[Engine, dict[str, Row]], connection: Connection, stage: str, *, generic: bool
) -> None:
    of, scope, index, _ = SCOPES[stage]
    me = rows.add_worker(connection)
    claim = sent(many[0], lambda: queue.claim(connection, of, me, BATCH, scope(many[1])))
    nodes = explain(connection, *claim, generic=generic)
    assert [node["Index Name"] for node in nodes if node["Node Type"] == "Index Scan"].count(index) == 1, nodes
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"], nodes
    assert BATCH <= rows_looked_at(nodes) <= 4 * BATCH, nodes


@pytest.mark.parametrize("stage", SCOPES)
def test_rescuing_reads_only_what_is_held(
    many: tuple[Engine, dict[str, Row]], connection: Connection, stage: str
) -> None:
    of, scope, _, index = SCOPES[stage]
    me, gone = rows.add_worker(connection), rows.add_worker(connection, stopped_at=NOW)
    queue.claim(connection, of, gone, BATCH, scope(many[1]))
    rescue = sent(many[0], lambda: queue.rescue(connection, of, me))
    queue.claim(connection, of, gone, BATCH, scope(many[1]))
    nodes = explain(connection, *rescue, generic=True)
    assert index in [node.get("Index Name") for node in nodes], nodes
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == of.name], nodes
