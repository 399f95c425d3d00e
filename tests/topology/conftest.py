"""One server for all tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.pipeline.conftest import world_template
from tests.topology.server import Server, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["server", "world_template"]  # a fixture of another folder is one here by its name


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server that takes passwords over TCP, with the workers' database still empty."""
    with running_server() as started:
        yield started
