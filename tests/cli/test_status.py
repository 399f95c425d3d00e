"""`rebase status`: every number it shows, in words, as JSON, again and again, and in a narrow terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

from cli.output import duration
from cli.status import _page
from rebase_db import queue
from rebase_db.analytics import upkeep
from rebase_db.lease import Lease
from rebase_db.outcomes import Done, Fail, Reject
from tests.cli.conftest import TASK, rebase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from tests.cli.conftest import Queued


def read(invoke: Callable[..., Result]) -> dict[str, Any]:
    result = invoke("status", "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def transform_of(found: dict[str, Any], task: str = TASK) -> dict[str, Any]:
    (one,) = [each for each in found["stages"] if (each["stage"], each["task"]) == ("transform", task)]
    return dict(one)


def work(queued: Queued, lease: Lease) -> None:
    """Claim twelve links, and make of them: five done, one rejected, two failed, four still in hand."""
    with queued.engine.begin() as connection:
        claims = queue.claim(connection, queue.TRANSFORM, lease.worker_id, 12)
        outcomes = [Done()] * 5 + [Reject("no use")] + [Fail("it [b]broke[/b]\nbadly")] * 2
        queue.settle(connection, queue.TRANSFORM, lease.worker_id, list(zip(claims, outcomes, strict=False)))


def test_states_rate_lease_and_failures(queued: Queued, invoke: Callable[..., Result]) -> None:
    with Lease(queued.engine, stages=["transform"], concurrency=3) as lease:
        work(queued, lease)
        with queued.engine.begin() as connection:  # ten seconds ago, as far as anybody can see
            connection.execute(text("SET LOCAL session_replication_role = replica"))  # events are append-only
            connection.execute(text("UPDATE event SET at = at - interval '10 s' WHERE event = 'claim'"))
        found = read(invoke)
        shown = invoke("status").stdout
    one = transform_of(found)
    assert one["states"] == {"retrieved": 8, "transforming": 4, "transformed": 5, "rejected": 1, "failed": 2}
    assert 0.4 < one["rate"] <= 0.8  # eight in a little more than ten seconds
    assert one["seconds_to_go"] == pytest.approx(12 / one["rate"])
    assert one["longest_seconds"] >= 10
    assert 0 <= one["heartbeat_age_seconds"] < one["longest_seconds"]
    assert found["failures"] == [
        {"stage": "transform", "task": TASK, "error": "it [b]broke[/b]\nbadly", "rows": 2},
    ]
    (worker,) = found["workers"]
    assert (worker["state"], worker["stages"], worker["concurrency"]) == ("live", ["transform"], 3)
    assert worker["in_hand"] == {"transform": 4}
    assert "2 times transform of spell-out: it [b]broke[/b] badly" in shown
    assert "8 retrieved, 4 transforming" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80


def test_only_the_newest_version_counts(queued: Queued, invoke: Callable[..., Result]) -> None:
    with queued.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO task_version (task_id, version, instruction, retrieval_instruction, examples,"
                " retrieval_examples, labels, reasoning, notes, content_hash)"
                " SELECT task_id, 2, 'new', retrieval_instruction, examples, retrieval_examples, labels, reasoning,"
                " notes, sha256('new') FROM task_version JOIN task USING (task_id) WHERE name = :task"
            ),
            {"task": TASK},
        )
    assert transform_of(read(invoke))["states"] == {"retrieved": 20}  # the new one has no retrieval yet
    with queued.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO retrieval (task_version_id, encoder_id, top_n, scoring, mirrors, state, rows_scored,"
                " attempt, finished_at) SELECT max(task_version_id), min(encoder_id), 5, 'max-rank', 'all', 'done', 0,"
                " 1, now() FROM task_version, encoder"
            )
        )
    assert not [one for one in read(invoke)["stages"] if (one["stage"], one["task"]) == ("transform", TASK)]


def test_paused_tasks_and_priorities_are_shown(
    queued: Queued, invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert queued.links
    invoke("pause", TASK)
    invoke("prioritize", TASK, "7")
    found, shown = read(invoke), invoke("status").stdout
    assert transform_of(found)["priority"] == 7
    assert transform_of(found)["paused_at"]
    assert found["paused"] == [TASK]
    assert f"Paused: {TASK}." in shown
    assert "(paused, priority 7)" in " ".join(shown.split())
    stages = [(one["stage"], one["task"]) for one in found["stages"]]
    assert stages.index(("transform", TASK)) < stages.index(("transform", "letters"))


def test_an_empty_database(invoke: Callable[..., Result]) -> None:
    shown = invoke("status")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "No task has any work yet." in shown.stdout
    assert "No worker is running" in shown.stdout
    assert read(invoke)["stages"] == []


def test_a_transaction_that_holds_up_vacuum_is_named(
    queued: Queued, invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    with queued.engine.connect() as held:
        pid = held.execute(text("SELECT pg_backend_pid(), txid_current()")).first()[0]  # type: ignore[index]
        assert read(invoke)["warnings"] == []
        monkeypatch.setattr(upkeep, "LONG_SECONDS", 0)
        (long,) = read(invoke)["long_transactions"]
        assert (long["pid"], long["application"], long["state"]) == (pid, "rebase-db", "idle in transaction")
        monkeypatch.setattr(upkeep, "LONG_SECONDS", 600)
        monkeypatch.setattr(upkeep, "IDLE_SECONDS", 0)
        (idle,) = read(invoke)["long_transactions"]
        assert idle["pid"] == pid
        shown = " ".join(invoke("status").stdout.split())
        assert f"Vacuum is held up by session {pid} (rebase-db, idle in transaction)" in shown


def test_a_full_queue_of_notifications_is_a_warning(
    queued: Queued, invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert queued.links
    assert read(invoke)["notification_queue"] < 0.5
    monkeypatch.setattr(upkeep, "FULL_SHARE", -1)
    (warning,) = read(invoke)["warnings"]
    assert "queue of notifications is 0% full" in warning


def test_watching_repeats_until_interrupted(queued: Queued, tmp_path: Path) -> None:
    with rebase(queued.database_url, tmp_path, "status", "--watch", "--json") as watching:
        assert watching.stdout is not None
        found = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=60)
    assert (watching.returncode, errors) == (0, "")
    assert [transform_of(one)["states"] for one in found] == [{"retrieved": 20}] * 2


def test_watching_without_a_terminal_prints_page_after_page(queued: Queued, tmp_path: Path) -> None:
    with rebase(queued.database_url, tmp_path, "status", "--watch") as watching:
        assert watching.stdout is not None
        page = [watching.stdout.readline() for _ in range(20)]
        watching.send_signal(signal.SIGINT)
        rest, errors = watching.communicate(timeout=60)
    assert (watching.returncode, errors) == (0, "")
    assert "".join(page).count("20 retrieved") >= 2
    assert "\x1b" not in "".join(page) + rest


def test_watching_in_a_terminal_redraws_through_a_loss_of_the_database(queued: Queued, tmp_path: Path) -> None:
    screen, terminal = pty.openpty()
    with rebase(queued.database_url, tmp_path, "status", "--watch", stdout=terminal, TERM="xterm") as watching:
        os.close(terminal)
        seen = read_until(screen, "20 retrieved")
        with queued.engine.begin() as connection:
            connection.execute(text("UPDATE retrieval_link SET state = 'cancelled', finished_at = now()"))
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid()"
                )
            )
        seen += read_until(screen, "20 cancelled")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=60) == 0
    os.close(screen)
    assert "\x1b[1A" in seen, "the page is drawn over the one before"


def test_a_database_that_is_away_is_said_on_the_page() -> None:
    (line,) = _page(create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    assert str(line).startswith("The database does not answer: ")


def read_until(screen: int, wanted: str) -> str:
    seen = ""
    while wanted not in seen:
        seen += os.read(screen, 65536).decode(errors="replace")
    return seen


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (0, "0 s"), (0.4, "0 s"), (59.6, "1 min"), (185, "3 min 5 s"), (7200, "2 h"), (90061, "1 d 1 h")],
)
def test_lengths_of_time(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said
