"""Verifying a whole database: every check in turn on one snapshot, then the files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rebase_db.database import failures
from rebase_db.schema import Base
from rebase_db.schema.seal import SEALED
from rebase_db.verify import (
    artifacts,
    chains,
    content,
    documents,
    evaluations,
    guards,
    keys,
    manifests,
    rankings,
    seals,
)
from rebase_db.verify.lie import Lie
from rebase_db.verify.read import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection, Engine

    from rebase_db.verify.lie import Check

CHECKS: Mapping[str, Check] = {
    "seals": seals.check_seals,
    "texts": content.check_texts,
    "rows": content.check_rows,
    "cells": content.check_cells,
    "examples": content.check_examples,
    "documents": documents.check_documents,
    "manifests": manifests.check_manifests,
    "benchmarks": manifests.check_benchmarks,
    "events": chains.check_events,
    "states": chains.check_claimed,
    "answers": chains.check_answers,
    "corpus": chains.check_corpus,
    "vectors": chains.check_vectors,
    "retrievals": chains.check_retrievals,
    "rankings": rankings.check_rankings,
    "sets": chains.check_training_sets,
    "evaluations": evaluations.check_evaluations,
    "budgets": chains.check_budgets,
    "retractions": chains.check_retractions,
    "keys": keys.check_foreign_keys,
    "triggers": guards.check_triggers,
    "constraints": guards.check_constraints,
}
"""Every check of the database by name, in the order they run."""

HASHED = (
    "text",
    "source_row",
    "example",
    "published_example",
    "task_version",
    "teacher",
    "prompt",
    "check_definition",
    "training_set",
    "training_run",
    "benchmark",
)
"""Tables whose records carry a hash besides their seal."""


@dataclass(slots=True)
class Tally:
    """How much was looked at."""

    records: int = 0
    hashes: int = 0


def verify(
    engine: Engine,
    tally: Tally,
    *,
    files: bool = True,
    on_check: Callable[[str], object] = lambda _: None,
) -> Iterator[Lie]:
    """Every lie in a database, and in the artifacts on this machine's disk.

    The database is read in one snapshot and changes nothing, so others may work on it meanwhile.

    Args:
        engine: The database.
        tally: Is told at the end how much was looked at.
        files: Whether to look at artifacts, which may lie on another machine.
        on_check: Told the name of each check as it begins.
    """
    with engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
        # Whoever reads the lies may take their time, and so may hashing here.
        connection.execute(text("SELECT set_config('idle_in_transaction_session_timeout', '0', true)"))
        yield from verify_records(connection, tally, on_check=on_check)
        recorded = artifacts.recorded_artifacts(connection)
    if files:
        on_check("artifacts")
        tally.hashes += len(recorded)
        yield from artifacts.check_artifacts(recorded)


def verify_records(
    connection: Connection, tally: Tally, *, on_check: Callable[[str], object] = lambda _: None
) -> Iterator[Lie]:
    """Every lie in the database, over a connection with a transaction."""
    for name, check in CHECKS.items():
        on_check(name)
        yield from guarded(connection, name, check)
    yield from guarded(connection, "records", partial(_count, tally))


def guarded(connection: Connection, name: str, check: Check) -> Iterator[Lie]:
    """The lies of a check. One that what it reads makes fail has found a lie, and leaves the transaction usable."""
    savepoint = connection.begin_nested()
    try:
        with closing(check(connection)) as found:  # type: ignore[type-var]
            yield from found
    except failures.AWAY:
        raise
    except (DBAPIError, psycopg.Error, ValueError, TypeError, ArithmeticError, LookupError) as error:
        yield Lie(name, {}, f"the check could not be made: {failures.cause(error)}")
    finally:
        if savepoint.is_active:
            savepoint.rollback()


def _count(tally: Tally, connection: Connection) -> Iterator[Lie]:
    """Count the records of each table, and the hashes that were recomputed for them; finds nothing."""
    counts = " UNION ALL ".join(
        # Of what is erased the seal is left to check, but nothing that a hash could be made of.
        f"SELECT '{name}', count(*), "  # noqa: S608 - names of our own metadata
        f"{'count(*) FILTER (WHERE erased_by IS NULL)' if 'erased_by' in table.columns else 'count(*)'} FROM {name}"
        for name, table in Base.metadata.tables.items()
    )
    for name, records, whole in stream(connection, counts):
        tally.records += records
        tally.hashes += records * (name in SEALED) + whole * (name in HASHED)
    yield from ()
