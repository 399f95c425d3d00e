from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.transform.openai_asking import KEY
from tests.transform.stub_server import Behaviour, Reply, StubServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stub's key in the environment, and somebody else's where the library would look for one."""
    monkeypatch.setenv("STUB_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "somebodyElses")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def serve(keys: None) -> Iterator[Callable[..., StubServer]]:  # noqa: ARG001 - for its effect
    """Starts scripted servers, by default of one that answers well."""
    servers: list[StubServer] = []

    def start(behaviour: Behaviour = lambda _: Reply()) -> StubServer:
        servers.append(StubServer(behaviour).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats follow at once where the server does not say when."""
    monkeypatch.setattr("rebase_db.transform.providers.retry_after.FIRST_BACKOFF_SECONDS", 0.0)
