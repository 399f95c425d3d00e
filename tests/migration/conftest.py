from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rebase_db.database.engine import engine_for
from tests.conftest import cloned_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@pytest.fixture
def empty_engine(empty_database: str) -> Iterator[Engine]:
    """An engine on a database without a schema."""
    engine = engine_for(empty_database)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def shared_engine(server_url: str, template_database: str) -> Iterator[Engine]:
    """A migrated database that the tests of a module share; roll back what you do to it."""
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        yield engine
        engine.dispose()
