"""The key that is in the environment is nowhere else: in no table, no message, no log, whatever the server says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db.errors import RebaseError
from tests.cli.conftest import TASK
from tests.cli.spending_shop import PRICES, SpendingShop, open_shop
from tests.transform.stub_server import Asked, Reply, StubServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from typer.testing import Result

KEY = "sk-" + "proj0123456789abcdefABCDEF"
COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND data_type IN ('text', 'jsonb', 'json', 'ARRAY', 'character varying')"""


@pytest.fixture
def shop(
    engine: Engine, teacher: StubServer, invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> SpendingShop:
    """Six links that wait for a server that wants a key."""
    monkeypatch.setenv("STUB_KEY", KEY)
    monkeypatch.setattr("rebase_db.transform.providers.retry_after.FIRST_BACKOFF_SECONDS", 0.01)
    made = open_shop(engine, teacher, invoke, monkeypatch, count=6)
    made.teach(api_key_env="STUB_KEY", **PRICES)
    return made


def where_the_key_is(shop: SpendingShop) -> list[str]:
    """Columns that hold it, whole or in good part."""
    looks = [
        f"SELECT '{table}.{column}' FROM \"{table}\" WHERE CAST(\"{column}\" AS text) LIKE '%' || :part || '%'"  # noqa: S608
        for table, column in shop.query(COLUMNS)
    ]
    with shop.engine.connect() as connection:
        return list(connection.execute(text(" UNION ".join(looks)), {"part": KEY[8:24]}).scalars())


def quoting(status: int) -> Callable[[Asked], Reply]:
    """Fails at each row's first request, and quotes the header in the error, as some servers do."""

    def behave(asked: Asked) -> Reply:
        if asked.before:
            return Reply()
        quoted = f"Incorrect API key provided: {asked.authorization}. Header was {asked.authorization!r}"
        return Reply(status=status, message=quoted, headers={"Retry-After": "0"})

    return behave


def told(result: Result) -> str:
    """All that a command said: streams, and the error that the entry point would print."""
    error = result.exception
    parts = [result.stdout, result.stderr, repr(error)]
    while error is not None:
        parts += [str(error), str(getattr(error, "hint", ""))]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def test_a_search_would_find_it(shop: SpendingShop) -> None:
    with shop.engine.begin() as connection:
        connection.execute(
            text("UPDATE retrieval_link SET error = :key WHERE link_id = :link"),
            {"key": f"with {KEY} in it", "link": shop.links[0]},
        )
    assert where_the_key_is(shop) == ["retrieval_link.error"]


def test_the_server_gets_it(shop: SpendingShop) -> None:
    shop.transform()
    assert {asked.authorization for asked in shop.server.asked} == {f"Bearer {KEY}"}
    assert where_the_key_is(shop) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_an_error_that_quotes_it_is_kept_without_it(
    shop: SpendingShop, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    shop.server.behaviour = quoting(status)
    caplog.set_level(logging.DEBUG)
    result = shop.invoke("transform", TASK, "--max-tokens", "1000000")
    if result.exception is not None:
        assert isinstance(result.exception, RebaseError)
    reasons = [reason for (reason,) in shop.query("SELECT reason FROM generation WHERE outcome = 'error'")]
    if status not in {401, 403}:  # of which our own words are better
        assert any("Incorrect API key provided" in said for said in [*reasons, told(result)]), "nothing of it was kept"
    assert KEY[8:24] not in told(result)
    assert KEY[8:24] not in caplog.text
    assert where_the_key_is(shop) == []
