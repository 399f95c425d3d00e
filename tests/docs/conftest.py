"""The pages, and one seeded database that all queries in them read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from rebase_db.database.engine import engine_for
from tests.docs.seeded import seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

NAME = "rebase_test_docs"


@pytest.fixture(scope="session")
def seeded(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine on the seeded database; read it, never write to it."""
    url = make_url(server_url)
    server = create_engine(url.set(drivername="postgresql+psycopg", database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {NAME} TEMPLATE {template_database}"))
    engine = engine_for(url.set(drivername="postgresql", database=NAME).render_as_string(hide_password=False))
    seed(engine, tmp_path_factory.mktemp("seeded"))
    yield engine
    engine.dispose()
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {NAME} WITH (FORCE)"))
    server.dispose()
