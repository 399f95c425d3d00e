"""A deployment for real: a server with passwords, migrations, workers by stage, and somebody who asks for work.

Each of them is a process of its own that knows the others through the database only.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from sqlalchemy import text

from rebase_db.database.engine import engine_for
from rebase_db.queue import QUEUES
from tests.pipeline.conftest import settle
from tests.pipeline.end_state import end_state, illegal_events
from tests.topology.compose import compose_file
from tests.topology.processes import command_lines, finish, run, start
from tests.topology.server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from tests.topology.server import Server

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 150
LINKS = 90
STAGES = (
    ("--stage", "embed", "--stage", "retrieve"),
    # Two, with small batches, so that they come upon the same rows.
    ("--stage", "transform", "--batch", "4"),
    ("--stage", "transform", "--batch", "4"),
)
WORKERS = len(STAGES)
# Also workers that are only just starting, which could not be told to stop.
UNFINISHED = """
    SELECT :workers - (SELECT count(*) FROM worker)
        + (SELECT count(*) FROM embed_chunk WHERE state IN ('waiting', 'running'))
        + (SELECT count(*) FROM retrieval WHERE state IN ('waiting', 'running'))
        + (SELECT count(*) FROM retrieval_link WHERE state IN ('retrieved', 'transforming'))
"""


@dataclass(frozen=True)
class Deployment:
    """What is left when all work is done and the workers were told to stop."""

    engine: Engine
    said: str
    """Everything any process printed."""
    seen: str
    """How the processes were called, while they worked."""
    exit_codes: list[int]
    health: list[bool]
    """What the health check of docker-compose.yml said of the workers, while they ran and then after their end."""


@pytest.fixture(scope="module")
def deployment(server: Server, world_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    world = settle(world_template, folder / "world", server.url())
    url = server.url()
    said = []

    def done(*arguments: str, module: str = "cli.main") -> None:
        ended = run(url, folder / "asker", *arguments, module=module)
        said.append(ended.stdout + ended.stderr)
        assert ended.returncode == 0, ended.stderr

    done("db", "upgrade")
    ports = [free_port() for _ in STAGES]
    # The password is in the URL, or where docker-compose.yml has it.
    logins = ((url, None), (url, None), (server.url_without_password(), server.password))
    workers = []
    for stages, port, (login, password) in zip(STAGES, ports, logins, strict=True):
        command = ("work", *stages, "--metrics-port", str(port), "--log-format", "json")
        workers.append(start(login, folder / f"machine-{port}", *command, pgpassword=password))
    try:
        done("ingest", str(world.folder / "corpus"))
        done(str(world.task), module="tests.topology.ask")
        engine = engine_for(url)
        seen = wait_until_finished(engine)
        health = [is_healthy(port) for port in ports]
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        ended = [finish(worker) for worker in workers]
    health += [is_healthy(port) for port in ports]
    said += [worker.stdout + worker.stderr for worker in ended]
    yield Deployment(engine, "\n".join(said), seen, [worker.returncode for worker in ended], health)
    engine.dispose()


def is_healthy(port: int) -> bool:
    """What the health check of a worker's container says, on the port of ours."""
    check = compose_file("any")["services"]["embed"]["healthcheck"]["test"]
    assert check[:3] == ["CMD", "python", "-c"]
    code = check[3].replace("9464", str(port))
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    return asked.returncode == 0


def wait_until_finished(engine: Engine) -> str:
    """The command lines seen while work was left."""
    seen = [command_lines()]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with engine.connect() as connection:
            left = connection.execute(text(UNFINISHED), {"workers": WORKERS}).scalar_one()
        if not left:
            return "\n".join(seen)
        assert time.monotonic() < deadline, f"{left} rows are left"
        threading.Event().wait(0.2)
        seen.append(command_lines())


def test_every_row_is_done(deployment: Deployment) -> None:
    state = end_state(deployment.engine)
    assert [row[0] for row in state["chunks"]] == ["done"]
    assert [row[0] for row in state["retrievals"]] == ["done"]
    assert len(state["links"]) == LINKS
    assert {row[4] for row in state["links"]} == {"transformed", "rejected"}
    # By rank: each answer that was read made an example, of which checks keep some out.
    made = sorted(row[0] for row in state["examples"])
    assert made == sorted(row[0] for row in state["calls that counted"] if row[1] == "parsed")
    assert set() < {row[2] for row in state["links"] if row[4] == "transformed"} <= set(made)
    with deployment.engine.connect() as connection:
        texts, vectors = connection.execute(
            text("SELECT (SELECT count(*) FROM text), (SELECT count(*) FROM embedding)")
        ).one()
    assert texts == vectors > 0


def test_events_are_legal_and_name_one_worker_a_row(deployment: Deployment) -> None:
    assert illegal_events(deployment.engine) == []
    with deployment.engine.connect() as connection:
        events = connection.execute(text("SELECT queue, item_id, from_state, event, to_state, worker_id FROM event"))
        rows = events.all()
        stages = {row.worker_id: row.stages for row in connection.execute(text("SELECT * FROM worker"))}
    queues = {queue.name: queue for queue in QUEUES}
    held: dict[tuple[str, int], set[int]] = {}
    for name, item, before, event, after, worker in rows:
        machine = queues[name].machine
        assert machine.transitions[before, event] == after
        if machine.working in {before, after}:
            held.setdefault((name, item), set()).add(worker)
    assert {queues[name].stage for name, _ in held} == {"embed", "retrieve", "transform"}
    for (name, _), workers in held.items():
        (worker,) = workers
        assert queues[name].stage in stages[worker]


def test_each_row_was_claimed_once(deployment: Deployment) -> None:
    with deployment.engine.connect() as connection:
        again = connection.execute(
            text(
                "SELECT queue, item_id FROM event WHERE event = 'claim' GROUP BY queue, item_id"
                " HAVING count(*) > 1 AND queue <> 'retrieval'"  # one that came before its vectors is put off
            )
        ).all()
    assert again == []


def test_the_health_check_tells_a_live_worker_from_none(deployment: Deployment) -> None:
    assert deployment.health == [True] * WORKERS + [False] * WORKERS


def test_workers_stop_when_told_to(deployment: Deployment) -> None:
    assert deployment.exit_codes == [0] * WORKERS
    with deployment.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM worker WHERE stopped_at IS NULL")).scalar_one() == 0
        assert connection.execute(text("SELECT count(DISTINCT pid) FROM worker")).scalar_one() == WORKERS


def test_the_password_is_nowhere(deployment: Deployment, server: Server) -> None:
    tables = server.command("pg_dump", "--data-only", "rebase")
    assert tables.returncode == 0, tables.stderr
    places = {
        "what processes print": deployment.said,
        "command lines": deployment.seen,
        "the server's log": server.log(),
        "tables": tables.stdout,
    }
    # Each of them was really looked at.
    for name, mark in (
        ("what processes print", "transform"),
        ("command lines", "work --stage transform"),
        ("the server's log", "retrieval_link"),
        ("tables", "COPY public.worker"),
    ):
        assert mark in places[name], name
    for name, place in places.items():
        for password in (server.password, quote(server.password, safe=""), quote(server.password)):
            assert password not in place, name


def test_a_backup_is_restored_as_the_page_says(deployment: Deployment, server: Server, tmp_path: Path) -> None:
    backup = str(tmp_path / "backup")
    dumped = server.command("pg_dump", "--format=custom", "--file", backup, "rebase")
    assert dumped.returncode == 0, dumped.stderr
    name = server.new_database()
    # The options that docs/operations.md gives.
    options = ("--role=rebase", "--no-owner", "--no-comments", "--exit-on-error")
    restored = server.command("pg_restore", *options, "-d", name, backup)
    assert restored.returncode == 0, restored.stderr
    into = server.url(database=name)
    engine = engine_for(into)
    assert end_state(engine) == end_state(deployment.engine)
    engine.dispose()
    checked = run(into, tmp_path, "db", "check")
    assert checked.returncode == 0, checked.stderr
