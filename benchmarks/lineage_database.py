"""A generated database to measure lineage on: datasets, rows and cells, links, calls, examples, sets, runs, scores."""

from __future__ import annotations

import sys
import time
from importlib.resources import files
from typing import TYPE_CHECKING

from sqlalchemy import text

from rebase_db.database.copy import driver
from rebase_db.schema.seal import SEALED

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

ROWS_AN_EXAMPLE = 2
"""Of five cells each."""
RUNS = 50


def fill(engine: Engine, examples: int, *, runs: int = RUNS, seed: int = 1) -> None:
    """Fill a fresh database so that it holds so many examples, twice as many rows, and ten times as many cells.

    Foreign keys and triggers are off meanwhile, except for those that compute seals.
    """
    script = files("benchmarks").joinpath("lineage_database.sql").read_text(encoding="utf-8")
    began = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL work_mem = '256MB'"))
        _seals(connection, "ENABLE ALWAYS")
        connection.execute(
            text(
                "CREATE TEMPORARY TABLE scale AS SELECT CAST(:examples AS bigint) AS examples,"
                " CAST(:rows AS bigint) AS rows, CAST(:runs AS integer) AS runs, CAST(:seed AS integer) AS seed"
            ),
            {"examples": examples, "rows": examples * ROWS_AN_EXAMPLE, "runs": runs, "seed": seed},
        )
        for statement in _statements(script):
            started = time.perf_counter()
            driver(connection).execute(statement.encode())
            took = time.perf_counter() - started
            if took > 1:
                print(f"  {took:6.1f} s  {statement.splitlines()[0]}", file=sys.stderr)
        _seals(connection, "ENABLE")
        connection.execute(text("DROP TABLE scale, plan, firsts, row_plan, version_plan"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # As autovacuum leaves it after a while; without it index-only scans look at the heap.
        connection.execute(text("VACUUM (ANALYZE)"))
    print(f"{examples:,} examples are there after {time.perf_counter() - began:.0f} s.", file=sys.stderr)


def _seals(connection: Connection, how: str) -> None:
    for table in SEALED:
        driver(connection).execute(f"ALTER TABLE {table} {how} TRIGGER {table}_seal".encode())


def _statements(script: str) -> list[str]:
    """The statements, without the comments before them."""
    lines = (line for line in script.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in "\n".join(lines).split(";\n") if statement.strip()]
