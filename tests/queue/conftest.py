"""Databases with a complete lineage: one shared by tests that roll back, and fresh ones for tests that must commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.schema.chain import Row, build, lineage_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine


@pytest.fixture(scope="session")
def lineage(server_url: str, template_database: str) -> Iterator[tuple[Engine, dict[str, Row]]]:
    with lineage_database(server_url, template_database) as made:
        yield made


@pytest.fixture
def chain(lineage: tuple[Engine, dict[str, Row]]) -> dict[str, Row]:
    """The rows of the shared lineage, by table."""
    return lineage[1]


@pytest.fixture
def connection(lineage: tuple[Engine, dict[str, Row]]) -> Iterator[Connection]:
    """A connection to the shared database, in a transaction that is rolled back."""
    with lineage[0].connect() as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def own_chain(engine: Engine) -> dict[str, Row]:
    """The rows of a lineage in the test's own database, committed."""
    with engine.begin() as connection:
        return build(connection)


@pytest.fixture(autouse=True)
def server_long_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite's server may have started a moment ago, and live workers would be given time to come back."""
    monkeypatch.setattr("rebase_db.rescue.RECONNECT_SECONDS", 0)
