"""Other processes that use an embedded server, and what can be asked of it from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text

from rebase_db.database import embedded
from rebase_db.database.engine import engine_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A path that needs quoting in a shell, in a URL and in a connection string.
NAME = "a folder's %20 + ü"

USE = """\
import sys
from pathlib import Path
from rebase_db.database import embedded
print(embedded.start(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


class User:
    """Another process that uses the server of a folder until it is told to leave."""

    def __init__(self, folder: Path, code: str = USE) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def url(self) -> str:
        """Wait until it has the server."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        """Let it come to its end, which must be a silent one."""
        output, errors = self.process.communicate("", timeout=60)
        assert (self.process.returncode, output, errors) == (0, "", "")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


@contextmanager
def using(folder: Path, count: int = 1) -> Iterator[list[User]]:
    """So many processes, started at the same time."""
    with ExitStack() as stack:
        users = [User(folder) for _ in range(count)]
        for user in users:
            stack.callback(user.kill)
        yield users


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def kill_server(folder: Path) -> None:
    """SIGKILL, and wait until it is no longer seen to run."""
    os.kill(postmaster(folder), signal.SIGKILL)
    while embedded.is_running(folder):
        threading.Event().wait(0.01)


def answer(url: str, query: str = "SELECT 1") -> object:
    engine = engine_for(url)
    try:
        with engine.begin() as connection:
            return connection.execute(text(query)).scalar_one()
    finally:
        engine.dispose()
