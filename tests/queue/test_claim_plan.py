"""What the queue costs the database, by its plans: the partial indexes and the batch, however many rows there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql
from sqlalchemy import event, func, text, update

from rebase_db import queue
from rebase_db.database.copy import driver
from rebase_db.lanes import ready_lanes
from rebase_db.outcomes import Fail, Outcome, Release, Retry, Snooze
from rebase_db.queue import QUEUES, Queue
from rebase_db.rescue import rescue
from tests.queue import rows
from tests.schema.chain import NOW, lineage_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from rebase_db.queue import Claim, Lane
    from tests.schema.chain import Row

ROWS = 20_000
MANY = 1_000_000
SNOOZED = 100_000
BATCH = 10
LARGE_BATCH = 256

# The indexes that claiming and rescuing must go by.
READY = {
    "embed_chunk": "embed_chunk_waiting_idx",
    "retrieval": "retrieval_waiting_idx",
    "retrieval_link": "retrieval_link_retrieved_idx",
    "training_run": "training_run_waiting_idx",
}
HELD = {
    "embed_chunk": "embed_chunk_running_idx",
    "retrieval": "retrieval_running_idx",
    "retrieval_link": "retrieval_link_transforming_idx",
    "training_run": "training_run_running_idx",
}
each_queue = pytest.mark.parametrize("of", QUEUES, ids=lambda of: of.name)
either_plan = pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
Filled = tuple["Engine", dict[str, "Lane"]]


def fill(engine: Engine, chain: dict[str, Row], of: Queue, count: int, snoozed: int) -> Lane:
    """Add rows to a queue, in this order: finished ones, ready ones, and some that are not ready for an hour."""
    with engine.begin() as connection:
        rows.skip_keys(connection)
        ids = rows.add_ready(connection, chain, of, count)
        finished = {"state": of.machine.next_state_of("done"), "finished_at": NOW, **rows.DONE.get(of.name, {})}
        connection.execute(update(of.table).where(of.key < ids[count // 2]).values(finished))
        later = {"ready_at": func.now() + text("interval '1 hour'")}
        connection.execute(update(of.table).where(of.key >= ids[count - snoozed]).values(later))
        # The lane of most rows; of training runs, each of which has its own, that of one that is ready.
        return rows.lanes_of(connection, of)[count // 2 + 2 if of is queue.DISTILL else 0]


def vacuum(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))


@pytest.fixture(scope="module")
def filled(server_url: str, template_database: str) -> Iterator[Filled]:
    """A database with 20,000 rows in every queue, half of them finished, a tenth snoozed, and fresh statistics."""
    with lineage_database(server_url, template_database) as (engine, chain):
        lanes = {of.name: fill(engine, chain, of, ROWS, ROWS // 10) for of in QUEUES}
        vacuum(engine)
        yield engine, lanes


@pytest.fixture
def connection(filled: Filled) -> Iterator[Connection]:
    with filled[0].connect() as connection:
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
    cursor.execute(sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked({})").format(values))
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


def seq_scans(nodes: list[dict[str, Any]], of: Queue) -> list[dict[str, Any]]:
    return [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == of.name]


def blocks(nodes: list[dict[str, Any]]) -> int:
    """Pages touched by the whole statement."""
    return int(nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"])


def outcomes_of(claims: list[Claim], *, mixed: bool) -> list[tuple[Claim, Outcome]]:
    kinds: list[Outcome] = [Fail("E"), Release(), Retry("E"), Snooze(1, "E")] if mixed else [Fail("E")]
    return [(claim, kinds[n % len(kinds)]) for n, claim in enumerate(claims)]


def check_claim(engine: Engine, connection: Connection, of: Queue, lane: Lane, batch: int, *, generic: bool) -> None:
    """A claim reads its batch by the partial index of its lane."""
    me = rows.add_worker(connection)
    claim = sent(engine, lambda: queue.claim(connection, of, me, batch, lane))
    nodes = explain(connection, *claim, generic=generic)
    assert [node["Index Name"] for node in nodes if node["Node Type"] == "Index Scan"].count(READY[of.name]) == 1, nodes
    assert seq_scans(nodes, of) == []
    expected = 0 if of is queue.DISTILL else batch  # its lanes are of one run, which the first claim has taken
    assert expected <= rows_looked_at(nodes) <= 4 * batch, nodes
    assert blocks(nodes) <= 40 * batch + 200


def check_hold_and_settle(
    engine: Engine, connection: Connection, of: Queue, lane: Lane, batch: int, *, generic: bool, mixed: bool
) -> None:
    """Holding and settling find each row by its key."""
    me = rows.add_worker(connection)
    claims = queue.claim(connection, of, me, batch, lane)
    assert len(claims) == (1 if of is queue.DISTILL else batch)
    hold = sent(engine, lambda: queue.hold(connection, of, me, claims))
    nodes = explain(connection, *hold, generic=generic)
    assert seq_scans(nodes, of) == []
    # By key, or by what this worker holds.
    assert {f"{of.name}_pkey", HELD[of.name]} & {node.get("Index Name") for node in nodes}, nodes
    assert rows_looked_at(nodes) <= 4 * batch, nodes
    with connection.begin_nested() as settling:
        settle = sent(engine, lambda: queue.settle(connection, of, me, outcomes_of(claims, mixed=mixed)))
        settling.rollback()
    nodes = explain(connection, *settle, generic=generic)
    assert seq_scans(nodes, of) == []
    assert {f"{of.name}_pkey", HELD[of.name]} & {node.get("Index Name") for node in nodes}, nodes
    assert rows_looked_at(nodes) <= 4 * batch, nodes
    assert blocks(nodes) <= 40 * batch + 200
    # It was the real thing that was explained.
    assert queue.hold(connection, of, me, claims) == []


def check_rescue(engine: Engine, connection: Connection, of: Queue, lane: Lane, batch: int, *, generic: bool) -> None:
    """Rescuing reads only what is held."""
    me, gone = rows.add_worker(connection), rows.add_worker(connection, stopped_at=NOW)
    statement = sent(engine, lambda: rescue(connection, of, me))
    claims = queue.claim(connection, of, gone, batch, lane)
    nodes = explain(connection, *statement, generic=generic)
    assert HELD[of.name] in [node.get("Index Name") for node in nodes], nodes
    assert seq_scans(nodes, of) == []
    assert rows_looked_at(nodes) <= 6 * batch + 10, nodes
    assert blocks(nodes) <= 40 * batch + 200
    assert queue.hold(connection, of, gone, claims) == []


@either_plan
@each_queue
def test_a_claim_reads_its_batch_by_the_partial_index(
    filled: Filled, connection: Connection, of: Queue, *, generic: bool
) -> None:
    check_claim(filled[0], connection, of, filled[1][of.name], BATCH, generic=generic)


@either_plan
@pytest.mark.parametrize("mixed", [False, True], ids=["alike", "mixed"])
@each_queue
def test_holding_and_settling_find_rows_by_their_key(
    filled: Filled, connection: Connection, of: Queue, *, generic: bool, mixed: bool
) -> None:
    check_hold_and_settle(filled[0], connection, of, filled[1][of.name], BATCH, generic=generic, mixed=mixed)


@either_plan
@each_queue
def test_rescuing_reads_only_what_is_held(filled: Filled, connection: Connection, of: Queue, *, generic: bool) -> None:
    check_rescue(filled[0], connection, of, filled[1][of.name], BATCH, generic=generic)


@either_plan
@each_queue
def test_rows_that_are_not_ready_yet_are_not_read(
    filled: Filled, connection: Connection, of: Queue, *, generic: bool
) -> None:
    engine, lanes = filled
    me = rows.add_worker(connection)
    claim = sent(engine, lambda: queue.claim(connection, of, me, BATCH, lanes[of.name]))
    hour = {"ready_at": func.now() + text("interval '1 hour'")}
    connection.execute(update(of.table).where(of.in_state(of.machine.ready)).values(hour))
    assert rows_looked_at(explain(connection, *claim, generic=generic)) == 0


def test_the_search_for_lanes_does_not_read_the_rows(filled: Filled, connection: Connection) -> None:
    for of in (queue.EMBED, queue.TRANSFORM):
        search = sent(filled[0], lambda of=of: ready_lanes(connection, of))  # type: ignore[misc]
        nodes = explain(connection, *search, generic=True)
        assert seq_scans(nodes, of) == []
        assert sum(node["Actual Rows"] for node in nodes if node.get("Index Name") == READY[of.name]) <= 2, nodes


@pytest.fixture(scope="module", params=["embed_chunk", "retrieval_link"])
def million(server_url: str, template_database: str, request: pytest.FixtureRequest) -> Iterator[tuple[Filled, Queue]]:
    """A queue of a million rows, half of them finished, 100,000 snoozed, and fresh statistics."""
    (of,) = (each for each in QUEUES if each.name == request.param)
    with lineage_database(server_url, template_database) as (engine, chain):
        lane = fill(engine, chain, of, MANY, SNOOZED)
        vacuum(engine)
        yield (engine, {of.name: lane}), of


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_rows_cost_no_more(million: tuple[Filled, Queue]) -> None:
    (engine, lanes), of = million
    lane = lanes[of.name]
    for generic in (False, True):
        for batch in (BATCH, LARGE_BATCH):
            with engine.connect() as connection:
                check_claim(engine, connection, of, lane, batch, generic=generic)
                connection.rollback()
                for mixed in (False, True):
                    check_hold_and_settle(engine, connection, of, lane, batch, generic=generic, mixed=mixed)
                    connection.rollback()
                check_rescue(engine, connection, of, lane, batch, generic=generic)
                connection.rollback()
    # A hundred thousand rows that are not ready yet, where everything that was ready has been claimed.
    with engine.connect() as connection:
        me = rows.add_worker(connection)
        claim = sent(engine, lambda: queue.claim(connection, of, me, BATCH, lane))
        hour = {"ready_at": func.now() + text("interval '1 hour'")}
        connection.execute(update(of.table).where(of.in_state(of.machine.ready)).values(hour))
        connection.commit()
        vacuum(engine)
        nodes = explain(connection, *claim, generic=True)
        assert rows_looked_at(nodes) == 0, nodes
        assert blocks(nodes) <= 100
