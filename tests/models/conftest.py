"""The tiny model, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.models.tiny import make_tiny_llama

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny language model of random weights; see `tests.models.tiny`."""
    return make_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")
