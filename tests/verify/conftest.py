"""One true history for all tests: a connection to it whose changes are rolled back, and copies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rebase_db.database.engine import engine_for
from tests.conftest import cloned_database
from tests.verify.history import History, write_history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


@pytest.fixture(scope="session")
def history(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Not to be changed."""
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        try:
            yield write_history(engine, tmp_path_factory.mktemp("history"))
        finally:
            engine.dispose()


@pytest.fixture
def own_history(history: History, server_url: str) -> Iterator[History]:
    """A copy that a test may change; its artifact is the same folder."""
    history.engine.dispose()  # a database is copied only while nobody is connected to it
    with cloned_database(server_url, str(history.engine.url.database)) as url:
        engine = engine_for(url)
        try:
            yield replace(history, engine=engine)
        finally:
            engine.dispose()


@pytest.fixture
def connection(history: History) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back."""
    with history.engine.connect() as connection:
        yield connection
        connection.rollback()
