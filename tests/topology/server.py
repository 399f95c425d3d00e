"""A Postgres server as docker-compose.yml runs it: its settings, its first script, TCP with passwords only."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rebase_db.database import cluster
from tests.topology.compose import ROOT, compose_file

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGIN = """\
local all postgres trust
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class Server:
    """Where the server is, and how to come in: as the workers do, or as the superuser from inside."""

    data: Path
    port: int
    programs: Any
    # With the characters that mean something in a URL, in a shell and in a connection string.
    password: str = field(default_factory=lambda: f"p@ss:w/o rd%' {secrets.token_hex(8)}")

    def url(self, password: str | None = None, *, database: str = "rebase", port: int | None = None) -> str:
        """What a worker has in `REBASE_DATABASE_URL`."""
        given = quote(self.password if password is None else password, safe="")
        return f"postgresql://rebase:{given}@127.0.0.1:{port or self.port}/{database}"

    def url_without_password(self, database: str = "rebase") -> str:
        """The same as `docker-compose.yml` has it: the password comes from elsewhere."""
        return f"postgresql://rebase@127.0.0.1:{self.port}/{database}"

    def log(self) -> str:
        """All that the server has said."""
        return cluster.log(self.data).read_text(encoding="utf-8")

    def command(self, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One of Postgres' own programs, as the superuser, over the socket that only this machine has."""
        return subprocess.run(
            [self.programs.bin_path / name, "-h", str(self.data), "-p", str(self.port), "-U", "postgres", *arguments],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def psql(self, *arguments: str, database: str = "rebase", **environment: str) -> str:
        """What psql prints, unaligned."""
        done = self.command("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database, *arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def new_database(self, *, extension: bool = True) -> str:
        """The name of a new database of the workers' role, made ready as an administrator does it."""
        name = f"other_{secrets.token_hex(6)}"
        self.psql("-c", f"CREATE DATABASE {name} OWNER rebase", database="postgres")
        if extension:
            self.psql("-c", "CREATE EXTENSION vector", database=name)
        return name


@contextmanager
def running_server() -> Iterator[Server]:
    """A new server, set up by docker/database.sql; gone at the end."""
    # Started by root the server runs as another user, who must be able to reach its folder.
    parent = Path(tempfile.mkdtemp(prefix="rebase-topology-"))
    parent.chmod(0o755)
    try:
        data = parent / "data"
        data.mkdir()
        programs = cluster._programs(data)
        programs.ensure_pgdata_inited()
        (data / "pg_hba.conf").write_text(LOGIN)
        server = Server(data, free_port(), programs)
        settings = compose_file("any")["services"]["database"]["command"][1:]
        arguments = ["-h127.0.0.1", f"-p{server.port}", f"-k{data}", *settings]
        cluster._pg_ctl(data, "start", "-l", str(cluster.log(data)), "-o", " ".join(arguments))
        try:
            script = str(ROOT / "docker" / "database.sql")
            server.psql("-f", script, database="postgres", POSTGRES_PASSWORD=server.password)
            # Only now: the script itself has the password, and the image does not log statements either.
            server.psql("-c", "ALTER ROLE rebase SET log_statement = 'all'")
            yield server
        finally:
            cluster.stop(data)
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
