"""Log lines: their form, and what they keep to themselves."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cli import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., io.StringIO]]:
    """Sets logging up; what is logged can be read from what it returns."""
    handlers = []
    levels = {name: logging.getLogger(name).level for name in logs.OURS}

    def begin(log_format: logs.LogFormat, about: dict[str, Any] | None = None) -> io.StringIO:
        heard = io.StringIO()
        monkeypatch.setattr(sys, "stderr", heard)
        handlers.append(logs.set_up(log_format, {} if about is None else about))
        return heard

    yield begin
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_text_is_for_people(start: Callable[..., io.StringIO]) -> None:
    heard = start("text", {"worker": 3})
    logging.getLogger("workers.runner").info("%d rows", 7, extra={"rows": 7})
    assert heard.getvalue()[len("2031-05-06 07:08:09") :] == " INFO 7 rows\n"


def test_json_is_an_object_a_line_with_all_there_is(start: Callable[..., io.StringIO]) -> None:
    about: dict[str, Any] = {}
    heard = start("json", about)
    log = logging.getLogger("workers.runner")
    log.info("before it has a number")
    about["worker"] = 3
    log.info("%d rows\nof two lines", 7, extra={"stage": "embed", "rows": 7, "seconds": 0.5})
    try:
        int("broken")
    except ValueError:
        log.exception("An attempt failed.")
    first, second, third = (json.loads(line) for line in heard.getvalue().splitlines())
    assert "worker" not in first
    assert second.items() >= {
        ("level", "info"), ("logger", "workers.runner"), ("message", "7 rows\nof two lines"), ("worker", 3),
        ("stage", "embed"), ("rows", 7), ("seconds", 0.5),
    }  # fmt: skip
    assert second["time"].endswith("+00:00")
    assert second.keys() == {"time", "level", "logger", "message", "worker", "stage", "rows", "seconds"}
    assert (third["level"], third["traceback"].splitlines()[-1]) == (
        "error",
        "ValueError: invalid literal for int() with base 10: 'broken'",
    )


def test_news_of_libraries_are_left_out_and_their_warnings_are_not(start: Callable[..., io.StringIO]) -> None:
    heard = start("text")
    logging.getLogger("httpx").info("GET /")
    logging.getLogger("httpx").warning("slow")
    assert heard.getvalue().endswith("WARNING slow\n")
    assert "GET" not in heard.getvalue()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_secrets_of_the_environment_are_masked(
    start: Callable[..., io.StringIO], monkeypatch: pytest.MonkeyPatch, log_format: logs.LogFormat
) -> None:
    secrets = {"SOME_API_KEY": 'sk-"quoted"-12', "PGPASSWORD": "open sesame", "HF_TOKEN": "hf_abcdef"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REBASE_DATABASE_URL", "postgresql://me:inthe%40url@host/db")
    monkeypatch.setenv("SHORT_KEY", "1")
    heard = start(log_format)
    log = logging.getLogger("cli.work")
    log.info("refused: %s", 'sk-"quoted"-12', extra={"hint": "try hf_abcdef"})
    try:
        int("postgresql://me:inthe%40url@host/db with open sesame, decoded inthe@url")
    except ValueError:
        log.exception("failed 1 time")
    said = heard.getvalue()
    assert "failed 1 time" in said
    assert said.count(logs.MASK) >= 3
    for secret in ("quoted", "open sesame", "hf_abcdef", "inthe"):
        assert secret not in said
