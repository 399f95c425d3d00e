"""The bazaar's publication, imported once; and databases to import into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from rebase_db.audit.directory import recognise
from rebase_db.audit.load import import_rebase
from rebase_db.database.engine import engine_for
from rebase_db.ingest.source import OnError
from rebase_db.task.store import add_task
from tests.audit.bazaar import TASK, Bazaar, build
from tests.conftest import cloned_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from rebase_db.audit.receipt import ImportReceipt


@dataclass(frozen=True)
class Imported:
    """The database with the bazaar's publication in it, what was written to disk, and what the import said."""

    engine: Engine
    bazaar: Bazaar
    receipt: ImportReceipt


@pytest.fixture(scope="session")
def bazaar(tmp_path_factory: pytest.TempPathFactory) -> Bazaar:
    """The files."""
    return build(tmp_path_factory.mktemp("bazaar"))


@pytest.fixture(scope="session")
def imported(server_url: str, template_database: str, bazaar: Bazaar) -> Iterator[Imported]:
    """The files in a database; tests may add to it, under other names."""
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        with engine.begin() as connection:
            add_task(connection, TASK)
        receipt = import_rebase(
            engine,
            recognise(bazaar.folder, TASK.name),
            task=TASK.name,
            uri=bazaar.folder.as_uri(),
            name=None,
            on_error=OnError.FAIL,
        )
        yield Imported(engine, bazaar, receipt)
        engine.dispose()
