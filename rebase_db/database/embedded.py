"""The embedded Postgres server: one per data folder, shared by all processes that use it, stopped with the last.

Two files in the data folder, locked with flock(2), which the kernel gives back when a process dies in whatever way:

- `starting.lock`, exclusive: held for the moment of starting or stopping, so that these never interleave;
- `users.lock`, shared: held by every process that uses the server. Who leaves and can have it exclusively was the last.

`keep-running`, an empty file, is `rebase up`: the server outlives its users until `rebase down`.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db.database import cluster
from rebase_db.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class _Use:
    """This process's hold on the server of a data folder: the open file whose lock says so.

    A forked child has its parent's, which it must not act on; hence the process id.
    """

    users: int
    pid: int


_in_use: dict[Path, _Use] = {}


def start(folder: Path) -> str:
    """Start the server of `folder`, or join it, and return its URL (database `postgres`, Unix socket).

    Raises:
        DatabaseError: It does not start; the message carries the end of its log.
    """
    use = _in_use.get(folder)
    if use is not None and use.pid == os.getpid() and cluster.status(_cluster(folder)) == "ready":
        return cluster.url(_cluster(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _starting(folder):
            users = _join(folder)
    except DatabaseError:
        raise
    except subprocess.SubprocessError as error:
        log = cluster.log(_cluster(folder))
        tail = log.read_text(errors="replace").strip().splitlines()[-3:] if log.exists() else []
        raise DatabaseError(
            f"The embedded database in {folder} did not start: {' / '.join(tail) or error}",
            hint=f"The whole log is in {log}.",
        ) from error
    except Exception as error:
        raise DatabaseError(
            f"The embedded database in {folder} did not start: {error}", hint="REBASE_HOME names another folder."
        ) from error
    if use is None:
        atexit.register(_leave, folder)
    else:
        os.close(use.users)
    _in_use[folder] = _Use(users, os.getpid())
    return cluster.url(_cluster(folder))


def is_running(folder: Path) -> bool:
    """Whether the server of `folder` is up."""
    return cluster.status(_cluster(folder)) is not None


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
        cluster.stop(_cluster(folder))
    return True


def _cluster(folder: Path) -> Path:
    return folder.resolve() / "postgres"


@contextmanager
def _starting(folder: Path) -> Iterator[None]:
    handle = os.open(folder / "starting.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _join(folder: Path) -> int:
    """Become a user of the server, which is started if need be; the open file whose lock says so."""
    users = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        cluster.start(_cluster(folder))
    except BaseException:
        os.close(users)
        raise
    return users


def _leave(folder: Path) -> None:
    """At exit: give up this process's hold and stop the server if nobody else has one."""
    use = _in_use.pop(folder, None)
    # A forked child must not stop its parent's server, and a data folder may be gone before its user is.
    if use is None or use.pid != os.getpid() or not folder.exists():
        return
    with _starting(folder):
        try:
            fcntl.flock(use.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not (folder / "keep-running").exists() and is_running(folder):
                cluster.stop(_cluster(folder))
        except BlockingIOError:
            pass  # somebody else has one
        finally:
            os.close(use.users)
