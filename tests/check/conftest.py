from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.check.ground import Ground, new_ground

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def ground(engine: Engine) -> Ground:
    """A task without examples on a database of its own."""
    return new_ground(engine)
