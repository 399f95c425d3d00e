"""The embedded server: one a folder, for as long as anybody uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from rebase_db.database import embedded
from rebase_db.database.engine import check_server, engine_for
from rebase_db.database.revision import HEAD
from tests.database.server_user import NAME, User, answer, postmaster, using

if TYPE_CHECKING:
    from pathlib import Path


def test_processes_that_start_at_once_get_one_server_and_the_last_stops_it(folder: Path) -> None:
    with using(folder, 3) as (first, second, third):
        urls = [user.url() for user in (first, second, third)]
        assert len(set(urls)) == 1
        server = postmaster(folder)
        assert answer(urls[0]) == 1
        first.leave()
        second.leave()
        assert embedded.is_running(folder)
        assert postmaster(folder) == server
        assert answer(urls[2]) == 1
        third.leave()
        assert not embedded.is_running(folder)


def test_a_killed_user_does_not_stop_the_server_under_others_nor_keep_it_from_stopping(folder: Path) -> None:
    with using(folder, 2) as (killed, other):
        killed.url()
        url = other.url()
        killed.kill()
        assert answer(url) == 1
        other.leave()
        assert not embedded.is_running(folder)


def test_a_server_whose_only_user_was_killed_stops_with_the_next(folder: Path) -> None:
    with using(folder) as (killed,):
        killed.url()
        killed.kill()
    assert embedded.is_running(folder)
    with using(folder) as (following,):
        assert answer(following.url()) == 1
        following.leave()
    assert not embedded.is_running(folder)


def test_a_server_that_is_kept_running_outlives_its_users_until_it_is_stopped(folder: Path) -> None:
    with using(folder) as (user,):
        url = user.url()
        embedded.keep_running(folder)
        user.leave()
    assert embedded.is_running(folder)
    assert answer(url) == 1
    assert embedded.stop(folder)
    assert not embedded.is_running(folder)
    assert not embedded.stop(folder)
    with using(folder) as (user,):  # and is not kept the next time
        user.url()
        user.leave()
    assert not embedded.is_running(folder)


def test_stopping_does_not_ask_its_users_and_a_user_can_start_it_again(folder: Path) -> None:
    url = embedded.start(folder)
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1")
        assert embedded.stop(folder)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    assert answer(embedded.start(folder)) == 1


def test_a_url_that_every_client_understands(folder: Path) -> None:
    url = embedded.start(folder)
    assert NAME in str(answer(url, "SHOW data_directory"))
    with psycopg.connect(url) as connection:  # libpq's own reading of it
        assert connection.execute("SELECT current_database()").fetchone() == ("postgres",)
    engine = engine_for(url)
    check_server(engine)
    engine.dispose()


def test_our_settings_are_in_force_and_the_users_win(folder: Path) -> None:
    url = embedded.start(folder)
    assert answer(url, "SHOW max_connections") == "200"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET work_mem = '33MB'")
    embedded.stop(folder)
    url = embedded.start(folder)
    assert answer(url, "SHOW work_mem") == "33MB"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM RESET work_mem")


OPEN = """\
import os, sys
os.environ["REBASE_HOME"] = sys.argv[1]
from rebase_db.database.engine import current_revision, open_engine
engine = open_engine()
print(current_revision(engine), flush=True)
engine.dispose()
"""


def test_processes_that_open_a_new_database_at_once_find_its_schema_made(folder: Path) -> None:
    users = [User(folder, OPEN) for _ in range(2)]
    assert [user.process.communicate(timeout=120) for user in users] == [(f"{HEAD}\n", "")] * 2
    assert not embedded.is_running(folder)
