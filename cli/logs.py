"""Logs on stderr: text for people, or one JSON object a line for machines; secrets of the environment never."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import re
import sys
from typing import Any, Literal
from urllib.parse import unquote

LogFormat = Literal["text", "json"]
OURS = ("cli", "workers", "rebase_db")
"""Loggers whose news are shown; of libraries only warnings are."""
MASK = "***"
_SECRET_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD)$")
_SHORTEST_SECRET = 6  # what is shorter is a setting, and masking it would garble every line
_PASSWORD_IN_URL = re.compile(r"(?<=:)[^:/@\s]+(?=@)")
_STANDARD = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName"}


def set_up(log_format: LogFormat, about: dict[str, Any]) -> logging.Handler:
    """Send log lines to stderr.

    Args:
        log_format: How a line looks.
        about: What else every JSON object says (the worker's number); read anew for each line.

    Returns:
        The handler, for who wants to take it off again.
    """
    handler = logging.StreamHandler(sys.stderr)
    secrets = _secrets()
    handler.setFormatter(_Json(secrets, about) if log_format == "json" else _Text(secrets))
    logging.getLogger().addHandler(handler)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    return handler


def _secrets() -> list[str]:
    """Values of the environment that no line may show: keys of teachers, passwords of databases. The longest first."""
    found = {value for name, value in os.environ.items() if _SECRET_NAMES.search(name.upper())}
    in_urls = {password for value in os.environ.values() for password in _PASSWORD_IN_URL.findall(value)}
    found |= in_urls | {unquote(password) for password in in_urls}  # as written, and as drivers name it
    return sorted((value for value in found if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)


class _Text(logging.Formatter):
    """`2031-05-06 07:08:09 INFO message`, in local time."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return _masked(super().format(record), self._secrets)


class _Json(logging.Formatter):
    """An object with time (UTC), level, logger, message, what `extra` holds, and the traceback of an exception."""

    def __init__(self, secrets: list[str], about: dict[str, Any]) -> None:
        super().__init__()
        self._secrets = secrets
        self._about = about

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._about,
            **{name: value for name, value in record.__dict__.items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # Masked before it is encoded: a secret with a quote in it looks different afterwards.
        masked = {
            name: _masked(value, self._secrets) if isinstance(value, str) else value for name, value in line.items()
        }
        return json.dumps(masked, default=str, ensure_ascii=False)


def _masked(line: str, secrets: list[str]) -> str:
    for secret in secrets:
        line = line.replace(secret, MASK)
    return line
