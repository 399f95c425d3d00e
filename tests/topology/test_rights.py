"""docker/database.sql leaves a role that can do its work and no more, and a superuser let in from inside only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.topology.server import Server


def test_the_superuser_is_not_let_in_over_the_network(server: Server) -> None:
    for password in (server.password, ""):
        with pytest.raises(psycopg.OperationalError, match=r"password authentication failed|no password supplied"):
            psycopg.connect(host="127.0.0.1", port=server.port, user="postgres", password=password, dbname="rebase")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "SELECT rolpassword FROM pg_authid",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_the_workers_role_may_not(server: Server, statement: str) -> None:
    with (
        psycopg.connect(server.url(), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_the_workers_role_sees_whose_transaction_is_open(server: Server) -> None:
    with (
        psycopg.connect(host=str(server.data), port=server.port, user="postgres", dbname="rebase") as other,
        psycopg.connect(server.url()) as connection,
    ):
        other.execute("SELECT 1")
        seen = connection.execute(
            "SELECT state, xact_start IS NOT NULL FROM pg_stat_activity WHERE pid = %s", [other.info.backend_pid]
        ).fetchone()
    assert seen == ("idle in transaction", True)


def test_the_settings_of_the_file_are_in_force(server: Server) -> None:
    with psycopg.connect(server.url()) as connection:
        for name, value in {"autovacuum_naptime": "5s", "client_connection_check_interval": "10s"}.items():
            assert connection.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)
