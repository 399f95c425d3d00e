"""The benchmark of lineage at a hundredth of its size: it runs, and no question reads a large table from end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text

from benchmarks.lineage import LARGE, ask_all, ask_impacts, count_anew, read_whole
from benchmarks.lineage_database import fill
from rebase_db.database.engine import engine_for
from rebase_db.schema import Base
from rebase_db.schema.seal import SEALED, seal_expression
from tests.conftest import cloned_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine, ForeignKeyConstraint

EXAMPLES = 10_000


def _count(connection: Connection, table: str) -> int:
    return connection.execute(select(func.count()).select_from(Base.metadata.tables[table])).scalar_one()


def _orphans(connection: Connection, key: ForeignKeyConstraint) -> int:
    """Rows whose key has no counterpart."""
    child, parent = key.table.alias("child"), key.referred_table.alias("parent")
    pairs = [(child.c[element.parent.name], parent.c[element.column.name]) for element in key.elements]
    there = select(parent).where(*(one == other for one, other in pairs)).exists()
    given = [one.is_not(None) for one, _ in pairs]
    return connection.execute(select(func.count()).select_from(child).where(*given, ~there)).scalar_one()


@pytest.fixture(scope="module")
def filled(server_url: str, template_database: str) -> Iterator[Engine]:
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        fill(engine, EXAMPLES)
        yield engine
        engine.dispose()


@pytest.mark.slow
def test_questions_go_by_indexes_and_the_database_is_whole(filled: Engine) -> None:
    answers = ask_all(filled, asked=20, seed=2)
    impacts = {name: found for name, _, _, found in ask_impacts(filled, repeats=1)}

    assert len(answers) == 6
    with filled.connect() as connection:
        counts = {table: _count(connection, table) for table in ("example", "cell", "training_run")}
        assert counts["example"] == EXAMPLES
        assert counts["cell"] == pytest.approx(10 * EXAMPLES, rel=0.01)
        assert counts["training_run"] == 50
        largest = impacts["of the largest dataset"]
        assert largest.rows / _count(connection, "source_row") == pytest.approx(0.23, abs=0.01)
        assert sum(each.examples for each in largest.sets) >= largest.accepted > 0
        # What was written past foreign keys and triggers is as if they had been there.
        for table in SEALED:
            stored = Base.metadata.tables[table]
            wrong = text(f"SELECT count(*) FROM {table} WHERE seal <> {seal_expression(stored)}")  # noqa: S608
            assert connection.execute(wrong).scalar_one() == 0, table
        for stored in Base.metadata.sorted_tables:
            for key in stored.foreign_key_constraints:
                assert _orphans(connection, key) == 0, key.name


@pytest.mark.slow
def test_a_table_that_is_read_whole_is_noticed(filled: Engine) -> None:
    """So that the benchmark's assertion can fail."""
    with filled.connect() as connection:
        count_anew(connection)
        connection.execute(text("SELECT count(raw_answer) FROM generation")).scalar_one()

        assert "generation" in LARGE
        assert read_whole(connection).keys() == {"generation"}
