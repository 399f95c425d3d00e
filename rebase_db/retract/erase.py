"""Erasing: what a retraction covers loses its words and vectors; hashes and lineage stay.

First, in one transaction, everything is emptied that holds words of the rows or was made of them. Then the tables are
written anew, so that the old bytes are gone from them too: deleted and updated rows stay on their pages otherwise, and
plain vacuum only marks their room as free. Killed in between, erasing again does the rest.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text, tuple_, update
from sqlalchemy.exc import OperationalError

from rebase_db.control import transition
from rebase_db.errors import RetractionError
from rebase_db.faults import FaultPoint, reach
from rebase_db.queue import TRANSFORM
from rebase_db.retract.lock import take_turn
from rebase_db.retract.report import Report, find_record, report_covered
from rebase_db.retract.target import cover_again, covered_row
from rebase_db.schema import Retraction, RetrievalLink
from rebase_db.schema.provenance import ERASABLE
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

# In this order: which texts go is decided by the rows, and vectors may only go after their texts.
_STATEMENTS = {
    "source_row": "erase_rows",
    "text": "erase_texts",
    "embedding": "erase_vectors",
    "generation": "erase_calls",
    "example": "erase_examples",
    "judgement": "erase_judgements",
    "check_result": "erase_results",
    "event": "erase_events",
    "likely_source": "erase_likely_sources",
    "retrieval_link": "erase_links",
}
_STATISTICS = "pg_statistic"
"""The planner's, with values of each column: made anew with the tables above, and then itself."""
WAIT_SECONDS = 10.0
"""How long to wait for sessions that may still see what was erased."""
LOCK_SECONDS = 10.0
"""How long to wait for a table that others use, before it is left as it is: those who come after wait as well."""
_LOOK_AGAIN_SECONDS = 0.2

if missing := ERASABLE.keys() - _STATEMENTS.keys():
    raise AssertionError(f"nothing erases {', '.join(sorted(missing))}")


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Tables that were written anew; who may have kept old rows in them; tables that could not be had."""

    tables: list[str]
    held_up_by: list[str]
    left: list[str]

    @property
    def complete(self) -> bool:
        """Whether the erased bytes are gone from the tables."""
        return not self.held_up_by and not self.left


def erase(connection: Connection, retraction_id: int) -> Report:
    """Empty what a retraction covers, in the caller's transaction; the report, with what there was to erase.

    Of one that was erased before nothing is left to do. Rows of it that are being transformed are cancelled, so that
    answers still to come are refused.

    Raises:
        UnknownNameError: There is none of this number.
        RetractionError: It was taken back.
    """
    take_turn(connection)
    record, dataset_ids = find_record(connection, retraction_id)
    if record.undone_at is not None:
        raise RetractionError(
            f"Retraction {retraction_id} was taken back, so its rows are not withdrawn.",
            hint="Retract them again: `rebase retract … --erase`.",
        )
    cover_again(connection, retraction_id, dataset_ids)
    report = report_covered(connection, record, dataset_ids)
    return report if record.erased_at is not None else erase_covered(connection, report)


def erase_covered(connection: Connection, report: Report) -> Report:
    """Empty what the work tables cover, as `retract` and `erase` leave them, of the retraction that is reported on."""
    retraction_id = report.record.retraction
    rows = select(covered_row.c.dataset_id, covered_row.c.row_id)
    transition(
        connection,
        TRANSFORM,
        "cancel",
        ("transforming",),
        tuple_(RetrievalLink.dataset_id, RetrievalLink.row_id).in_(rows),
        {"error": "erased", "finished_at": func.clock_timestamp()},
    )
    for statement in _STATEMENTS.values():
        connection.execute(text(named(statement)), {"retraction_id": retraction_id})
    erased_at = connection.execute(
        update(Retraction)
        .where(Retraction.retraction_id == retraction_id)
        .values(erased_at=func.clock_timestamp())
        .returning(Retraction.erased_at)
    ).scalar_one()
    reach(FaultPoint.ERASE_BEFORE_COMMIT)
    return replace(report, record=replace(report.record, erased_at=erased_at))


def rewrite_tables(engine: Engine, retraction_id: int, on_table: Callable[[str], None] = lambda _: None) -> Rewritten:
    """Write the tables anew that erased words were in, each under a lock that nobody reads beside.

    Args:
        engine: The database.
        retraction_id: Of an erased retraction.
        on_table: Told each table before it is its turn.
    """
    reach(FaultPoint.ERASE_COMMITTED)
    done: list[str] = []
    left: list[str] = []
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        held_up_by = _wait_for_readers(connection, retraction_id)
        connection.execute(text(f"SET lock_timeout = {round(LOCK_SECONDS * 1000)}"))
        for table in (*_STATEMENTS, _STATISTICS):
            on_table(table)
            before = _file_of(connection, table)
            with suppress(OperationalError):  # others use it
                connection.execute(text(f"VACUUM (FULL, ANALYZE) {table}"))
            # Of a table that is not this user's to vacuum the server only warns, and goes on.
            (left if _file_of(connection, table) == before else done).append(table)
        connection.execute(text("RESET lock_timeout"))
    return Rewritten(done, held_up_by, left)


def _file_of(connection: Connection, table: str) -> int:
    """The file that a table is in: another one once it was written anew."""
    return int(connection.execute(select(func.pg_relation_filenode(table))).scalar_one())


def _wait_for_readers(connection: Connection, retraction_id: int) -> list[str]:
    """Who still sees the rows as they were, or may, after some waiting."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        found = connection.execute(text(named("erasure_held_up")), {"retraction_id": retraction_id}).all()
        if not found or time.monotonic() > until:
            return [f"{holder} ({detail or 'unnamed'})" for holder, detail in found]
        threading.Event().wait(_LOOK_AGAIN_SECONDS)
