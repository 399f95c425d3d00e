"""Fixtures: one server for the suite, one migrated template database, a copy of it for each test that asks.

`REBASE_TEST_DATABASE_URL` names a server to use (a superuser's URL); without it an embedded one is started in a
temporary folder. `REBASE_TEST_DATA` names the folder of real data that tests marked `real_data` need.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

# Before anything of ours reads them: the suite must not touch the developer's own database or models.
_EXTERNAL = os.environ.get("REBASE_TEST_DATABASE_URL")
for _name in [name for name in os.environ if name.startswith("REBASE_") and not name.startswith("REBASE_TEST_")]:
    del os.environ[_name]
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# A console keeps the width that COLUMNS gave when it was made; made here, none keeps what one test has set.
os.environ.pop("COLUMNS", None)
import cli.output  # noqa: E402, F401
from tests.lending import Lending  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from sqlalchemy import Engine

TEMPLATE = "rebase_test_template"


def _url(server: str, database: str) -> str:
    url = make_url(server).set(drivername="postgresql", database=database)
    return url.render_as_string(hide_password=False)


def _administer(server: str, *statements: str) -> None:
    engine = create_engine(
        make_url(server).set(drivername="postgresql+psycopg", database="postgres"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A superuser's URL of a running server."""
    if _EXTERNAL:
        yield _EXTERNAL
        return
    from rebase_db.database import embedded

    # Not pytest's own temporary folder: started by root, the server runs as another user, who may not enter that.
    with tempfile.TemporaryDirectory(prefix="rebase-test-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        url = embedded.start(home)
        # Nobody's data: what a crash of the machine would lose need not be waited for, a thousand databases long.
        settings = ("fsync", "synchronous_commit", "full_page_writes")
        _administer(url, *(f"ALTER SYSTEM SET {name} = off" for name in settings), "SELECT pg_reload_conf()")
        yield url
        embedded.stop(home)


@pytest.fixture(scope="session")
def template_database(server_url: str) -> str:
    """The name of a database made by the migrations, to be cloned."""
    from rebase_db.database import migrate
    from rebase_db.database.engine import engine_for

    _administer(server_url, f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)", f"CREATE DATABASE {TEMPLATE}")
    engine = engine_for(_url(server_url, TEMPLATE))
    migrate.upgrade(engine)
    engine.dispose()
    return TEMPLATE


@pytest.fixture
def empty_database(server_url: str) -> Iterator[str]:
    """The URL of a database without a schema, dropped after the test."""
    name = f"rebase_test_{uuid.uuid4().hex[:12]}"
    _administer(server_url, f"CREATE DATABASE {name}")
    yield _url(server_url, name)
    _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def cloned_database(server_url: str, template: str) -> Iterator[str]:
    """The URL of a copy of a database, dropped at the end."""
    name = f"rebase_test_{uuid.uuid4().hex[:12]}"
    _administer(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _url(server_url, name)
    _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def lending(server_url: str, template_database: str) -> Iterator[Lending]:
    """Copies of the template, each for one test after the other."""
    lending = Lending(server_url, template_database)
    yield lending
    lending.close()


@pytest.fixture
def database_url(server_url: str, lending: Lending) -> Iterator[str]:
    """The URL of an empty, migrated database, the test's own."""
    name = lending.lend()
    yield _url(server_url, name)
    lending.take_back(name)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty, migrated database."""
    from rebase_db.database.engine import engine_for

    engine = engine_for(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; the test is skipped without it."""
    folder = os.environ.get("REBASE_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("REBASE_TEST_DATA names no folder of real data")
    return Path(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has logged goes from one process to another, which halves of surrogate pairs cannot."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report
