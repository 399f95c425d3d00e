"""A database with one complete lineage, and a connection to it whose changes are rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.schema.chain import Row, lineage_database
from tests.schema.conftest import chain, connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

__all__ = ["chain", "connection"]


@pytest.fixture(scope="session")
def lineage(server_url: str, template_database: str) -> Iterator[tuple[Engine, dict[str, Row]]]:
    with lineage_database(server_url, template_database) as made:
        yield made
