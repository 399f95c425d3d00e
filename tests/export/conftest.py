from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.export.shelf import Shelf, stock
from tests.schema.chain import lineage_database

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def shelf(server_url: str, template_database: str) -> Iterator[Shelf]:
    """A set of four examples from three datasets, and a run on it; nobody writes to it."""
    with lineage_database(server_url, template_database) as (engine, chain):
        with engine.begin() as connection:
            made = stock(connection, engine, chain)
        yield made
