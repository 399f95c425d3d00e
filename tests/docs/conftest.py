"""One seeded database that all queries of the pages read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rebase_db.database.engine import engine_for
from tests.conftest import cloned_database
from tests.docs.seeded import seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@pytest.fixture(scope="session")
def seeded(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine on the seeded database; read it, never write to it."""
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        seed(engine, tmp_path_factory.mktemp("seeded"))
        yield engine
        engine.dispose()
