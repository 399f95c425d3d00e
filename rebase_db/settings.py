"""Settings read from the environment, in one place.

| variable | meaning |
| --- | --- |
| `REBASE_DATABASE_URL` | a Postgres server to use; without it the embedded one runs from the data folder |
| `REBASE_LEASE_SECONDS` | how long a worker may be silent before others take its rows; default 60, alike for all |
| `REBASE_HOME` | the data folder: embedded database and trained students; default `$XDG_DATA_HOME/rebase-db` |
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from rebase_db.errors import RebaseError

DATABASE_URL = "REBASE_DATABASE_URL"
HOME = "REBASE_HOME"
LEASE_SECONDS = "REBASE_LEASE_SECONDS"


def database_url() -> str | None:
    """The server named by the environment, or None for the embedded one."""
    return os.environ.get(DATABASE_URL) or None


def home() -> Path:
    """The data folder; not created here."""
    named = os.environ.get(HOME)
    if named:
        return Path(named).expanduser().resolve()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return (Path(data) / "rebase-db").expanduser().resolve()


def lease_seconds() -> float:
    """How long a worker's rows are its own after its last heartbeat.

    Raises:
        RebaseError: The environment says something that is no number above 0.
    """
    value = os.environ.get(LEASE_SECONDS) or "60"
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0
    if not 0 < seconds < math.inf:
        raise RebaseError(f"{LEASE_SECONDS} is {value!r}, not a number of seconds.", hint="60 is the default.")
    return seconds


def artifacts() -> Path:
    """Where trained students are written, a folder a run."""
    return home() / "artifacts"
