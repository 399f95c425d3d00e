"""A database of every released revision, with work in every state, is upgraded and then worked off.

A new revision adds a file to `seeds/`; nothing here changes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text, true

from rebase_db import queue
from rebase_db.control import retry, transition
from rebase_db.database import migrate
from rebase_db.database.copy import driver
from rebase_db.lease import Lease
from rebase_db.queue import QUEUES
from tests.migration.catalog import differences, read_catalog
from tests.queue.rows import lanes_of
from tests.queue.stub_stage import StubStage
from workers.runner import drain

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from rebase_db.queue import Queue

SEEDS = Path(__file__).parent / "seeds"


def states_by_queue(connection: Connection) -> dict[str, set[str]]:
    """Every state that each queue may be in, by its CHECK: as of the revision the database is at."""
    query = text(
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'c' AND conname = conrelid::regclass::text || '_state_check'"
    )
    return {table: set(re.findall("'([a-z]+)'", definition)) for table, definition in connection.execute(query)}


def states_of(connection: Connection, each: Queue) -> dict[int, str]:
    """The state of every row of a queue."""
    return dict(connection.execute(select(each.key, each.table.c.state)).all())


def count_rows(connection: Connection) -> dict[str, int]:
    query = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
    return {
        name: connection.execute(select(func.count()).select_from(text(name))).scalar_one()
        for name in connection.execute(query).scalars()
    }


def test_every_released_revision_has_a_seed() -> None:
    assert [seed.stem for seed in sorted(SEEDS.glob("*.sql"))] == sorted(migrate.known_revisions())


@pytest.mark.parametrize("revision", migrate.known_revisions())
def test_a_seed_is_upgraded_and_worked_off(empty_engine: Engine, shared_engine: Engine, revision: str) -> None:
    engine = empty_engine
    migrate.upgrade(engine, revision)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver(connection).execute((SEEDS / f"{revision}.sql").read_bytes())
        possible = states_by_queue(connection)
        assert possible
        for table, states in possible.items():
            seeded = connection.execute(select(text("DISTINCT state")).select_from(text(table))).scalars()
            assert set(seeded) == states, table
        assert [name for name, count in count_rows(connection).items() if count == 0] == []

    migrate.upgrade(engine)

    migrate.check(engine)
    with engine.connect() as one, shared_engine.connect() as other:
        assert differences(read_catalog(one), read_catalog(other)) == {}
    seeded_queues = [each for each in QUEUES if each.name in possible]
    with engine.begin() as connection:
        revived = retry(connection, None, [each.stage for each in seeded_queues])
        again = {each.stage: len(possible[each.name] & {"failed", "cancelled"}) for each in seeded_queues}
        assert revived == again  # one of each state
    with Lease(engine) as lease:
        for each in seeded_queues:
            stage = StubStage(each)
            with engine.connect() as connection:
                lanes = lanes_of(connection, each)
            counts = drain(engine, lease, stage, lanes)
            worked = len([claim for batch in stage.batches for claim in batch])
            assert worked == again[each.stage] + 2, each.name  # and the one that waited, and the one that was held
            assert counts.keys() <= {*each.machine.finished} - {"failed", "cancelled"}
    with engine.begin() as connection:
        assert transition(connection, queue.TRANSFORM, "distil", ["transformed"], true()) > 0
        rescued = text("SELECT DISTINCT queue FROM event WHERE event = 'rescue'")
        assert set(connection.execute(rescued).scalars()) == {each.name for each in seeded_queues}


def test_what_was_cancelled_has_failed_in_the_revision_before(empty_engine: Engine) -> None:
    engine = empty_engine
    migrate.upgrade(engine, "0002")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver(connection).execute((SEEDS / "0002.sql").read_bytes())
        before = {each.name: states_of(connection, each) for each in QUEUES}
    migrate.downgrade(engine, "-1")
    with engine.connect() as connection:
        for each in QUEUES:
            became = {key: "failed" if state == "cancelled" else state for key, state in before[each.name].items()}
            assert became != before[each.name]
            assert states_of(connection, each) == became
            errors = text(f"SELECT count(*) FROM {each.name} WHERE state = 'failed' AND error = 'cancelled'")  # noqa: S608
            assert connection.execute(errors).scalar_one() == 1
    migrate.upgrade(engine)
    migrate.check(engine)
