"""A database with one complete lineage, and a connection to it whose changes are rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.schema.chain import Row, add_release, lineage_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine


@pytest.fixture(scope="session")
def lineage(server_url: str, template_database: str) -> Iterator[tuple[Engine, dict[str, Row]]]:
    with lineage_database(server_url, template_database) as (engine, chain):
        with engine.begin() as connection:
            add_release(connection, chain)
        yield engine, chain


@pytest.fixture
def chain(lineage: tuple[Engine, dict[str, Row]]) -> dict[str, Row]:
    """The rows of the lineage, by table."""
    return lineage[1]


@pytest.fixture
def connection(lineage: tuple[Engine, dict[str, Row]]) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back; deferred constraints are checked at once."""
    with lineage[0].connect() as connection:
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        yield connection
        connection.rollback()
