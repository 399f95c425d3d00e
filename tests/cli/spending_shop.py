"""A task of a scripted server for the commands that spend, with an encoder that need not be there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.task.store import add_task
from tests.cli.conftest import TASK, enqueue, task_file

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from sqlalchemy import Engine
    from typer.testing import Result

    from tests.transform.stub_server import StubServer

PRICES = {"input_price": "10", "output_price": "20"}


@dataclass
class SpendingShop:
    """The task, its server, and the command line."""

    engine: Engine
    server: StubServer
    invoke: Callable[..., Result]
    links: list[int]

    def teach(self, **teacher: Any) -> None:
        """Change the teacher's section of the task file."""
        with self.engine.begin() as connection:
            add_task(connection, task_file(self.server.url, **teacher))

    def transform(self, *options: str) -> Result:
        result = self.invoke("transform", TASK, *options)
        assert result.exit_code == 0, result.output
        return result

    def said(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        result = self.invoke(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def query(self, statement: str) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement)).all())

    def states(self) -> dict[str, int]:
        return dict(self.query("SELECT state, count(*) FROM retrieval_link WHERE link_id > 1 GROUP BY state"))


def open_shop(
    engine: Engine, server: StubServer, invoke: Callable[..., Result], patch: pytest.MonkeyPatch, count: int = 20
) -> SpendingShop:
    """A task with `count` links that wait."""
    links = enqueue(engine, server.url, count)
    patch.setattr("workers.pipeline.encoder_identity_of", lambda _: None)
    patch.setattr("workers.pipeline.register", lambda *_: 1)
    patch.setattr("workers.stages.transform.HELD_SECONDS", 0.02)
    return SpendingShop(engine, server, invoke, links)
