"""The processes of a deployment: commands and workers, each with the server's URL in its environment."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

from tests.topology.compose import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def start(
    url: str, home: Path, *arguments: str, module: str = "cli.main", pgpassword: str | None = None
) -> subprocess.Popen[str]:
    """Start a command on a server; `home` stands for the machine it runs on."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("REBASE_", "PG"))}
    environment |= {
        "REBASE_DATABASE_URL": url,
        "REBASE_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    if pgpassword is not None:
        environment["PGPASSWORD"] = pgpassword
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def finish(process: subprocess.Popen[str], timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Wait for its end, and kill it if that does not come."""
    try:
        output, errors = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def run(
    url: str, home: Path, *arguments: str, module: str = "cli.main", pgpassword: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Start a command and wait for its end."""
    return finish(start(url, home, *arguments, module=module, pgpassword=pgpassword))


def command_lines() -> str:
    """What anybody on this machine can see of our processes: how they were called, and the server's for each client."""
    ours = psutil.Process().children(recursive=True)
    servers = [process for process in psutil.process_iter(["name"]) if process.info["name"] == "postgres"]
    lines = []
    for process in (*ours, *servers):
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue  # gone meanwhile, or a zombie
    return "\n".join(lines)
