"""Data folders of embedded servers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rebase_db.database import embedded
from tests.database.server_user import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """A data folder with a database cluster in it, made once; nothing runs."""
    # Not below pytest's own temporary folder, which the user that root's server runs as may not enter.
    with tempfile.TemporaryDirectory(prefix="rebase-embedded-", ignore_cleanup_errors=True) as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / NAME
        yield folder
        embedded.stop(folder)


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    """The data folder, with no server running before or after, and this process no user of it."""
    yield made
    embedded._leave(made)
    embedded.stop(made)


@pytest.fixture
def new_folder() -> Iterator[Callable[[str], Path]]:
    """Make a data folder of its own for a test."""
    made = []

    def make(name: str) -> Path:
        parent = Path(tempfile.mkdtemp(prefix="rebase-embedded-"))
        parent.chmod(0o755)
        made.append(parent / name)
        return made[-1]

    yield make
    for folder in made:
        embedded.stop(folder)
        shutil.rmtree(folder.parent, ignore_errors=True)
