"""The database that the pages ask about, each test's own, with a stand-in for the encoder and a teacher of rules."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cli.main import app
from rebase_db.database.engine import engine_for
from tests.conftest import cloned_database
from tests.docs.seeded import WORD_COUNTER, WordCounter, seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from typer.testing import Result


@dataclass(frozen=True)
class Shop:
    """The command line on the database of two tasks."""

    engine: Engine

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    def said(self, *arguments: str) -> Any:
        """What `rebase what-if` prints as JSON."""
        result = self.run("what-if", *arguments, "--json")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement), parameters)]


@pytest.fixture(scope="session")
def shop_template(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database to be copied."""
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        seed(engine, tmp_path_factory.mktemp("shop"))
        engine.dispose()  # a database is copied only while nobody is connected to it
        yield str(engine.url.database)


@pytest.fixture
def shop(shop_template: str, server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A copy that a test may change; whoever asks for the encoder gets one that counts words."""
    with cloned_database(server_url, shop_template) as url:
        engine = engine_for(url)
        monkeypatch.setattr("cli.session.open_database", lambda: engine)
        monkeypatch.setattr("workers.pipeline.encoder_identity_of", lambda _: WORD_COUNTER)
        monkeypatch.setattr("rebase_db.embed.encoder.load_encoder", lambda _: WordCounter())
        monkeypatch.setenv("COLUMNS", "80")
        try:
            yield Shop(engine)
        finally:
            engine.dispose()
