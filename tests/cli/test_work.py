"""A worker as a process: what signals do to it and to the rows in its hands, what it logs, how it ends."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.cli.conftest import rebase
from tests.transform.stub_server import Reply

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from tests.cli.conftest import Queued
    from tests.transform.stub_server import StubServer

WORK = ("work", "--stage", "transform", "--concurrency", "1", "--batch", "10", "--log-format", "json")
TIMEOUT = 100


def lines(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """What a worker that ended has logged; nothing else may have come from it."""
    output, errors = process.communicate(timeout=TIMEOUT)
    assert output == ""
    return [json.loads(line) for line in errors.splitlines()]


def wait_for_questions(teacher: StubServer, number: int) -> None:
    for _ in range(number):
        assert teacher.arrived.acquire(timeout=TIMEOUT), "the teacher was not asked"


def test_it_does_what_waits_and_says_so(queued: Queued, tmp_path: Path) -> None:
    with rebase(queued.database_url, tmp_path, *WORK, "--drain") as worker:
        said = lines(worker)
    assert worker.returncode == 0, said
    assert queued.count("transformed") == 20
    batches = [line for line in said if "stage" in line]
    assert [(line["stage"], line["rows"], line["settled"], line["fenced"]) for line in batches] == [
        ("transform", 10, 10, 0)
    ] * 2
    assert all({"time", "level", "message", "worker", "seconds"} <= line.keys() for line in batches)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_amid_a_batch_keeps_what_is_answered_and_hands_back_the_rest(
    queued: Queued, teacher: StubServer, tmp_path: Path, number: signal.Signals
) -> None:
    answered = iter(range(3))
    teacher.behaviour = lambda _: Reply(hang=next(answered, None) is None)
    with rebase(queued.database_url, tmp_path, *WORK, "--grace", "1") as worker:
        wait_for_questions(teacher, 10)
        worker.send_signal(number)
        said = lines(worker)
    assert worker.returncode == 0, said
    assert [line["message"] for line in said if str(line["message"]).startswith(number.name)]
    assert queued.count("transforming") == 0
    assert queued.count("retrieved") >= 17  # answers that came before the signal may be kept
    assert queued.count("retrieved") + queued.count("transformed") == 20
    assert (queued.crashes(), queued.most_attempts_used()) <= (0, 1)
    with queued.engine.connect() as connection:
        charged = connection.execute(
            text("SELECT max(attempt - (attempt_limit - 5)) FROM retrieval_link WHERE state = 'retrieved'")
        ).scalar_one()
        assert charged == 0
        stopped = text("SELECT count(*) FROM worker WHERE stopped_at IS NULL")
        assert connection.execute(stopped).scalar_one() == 0


def test_a_batch_that_ends_within_the_grace_is_finished(queued: Queued, teacher: StubServer, tmp_path: Path) -> None:
    teacher.behaviour = lambda _: Reply(delay=2)
    with rebase(queued.database_url, tmp_path, *WORK, "--grace", "60") as worker:
        wait_for_questions(teacher, 10)
        worker.terminate()
        said = lines(worker)
    assert worker.returncode == 0, said
    assert said[-1]["message"] == "The worker ended; nothing is in hand."
    assert queued.count("transforming") == 0
    assert 1 <= queued.count("transformed") <= 10
    assert queued.count("transformed") + queued.count("retrieved") == 20


def test_a_second_signal_ends_it_at_once_and_others_take_its_rows(
    queued: Queued, teacher: StubServer, tmp_path: Path
) -> None:
    teacher.behaviour = lambda _: Reply(hang=True)
    with rebase(queued.database_url, tmp_path, *WORK, "--grace", "600") as worker:
        wait_for_questions(teacher, 10)
        worker.terminate()
        assert worker.stderr is not None
        while "stopping" not in worker.stderr.readline():
            assert worker.poll() is None
        worker.terminate()
        assert worker.wait(timeout=TIMEOUT) == 128 + signal.SIGTERM
    assert queued.count("transforming") == 10
    teacher.behaviour = lambda _: Reply()
    with rebase(queued.database_url, tmp_path, *WORK, "--drain") as other:
        said = lines(other)
    assert other.returncode == 0, said
    assert queued.count("transformed") == 20


def test_a_schema_that_is_not_its_own_ends_it_with_the_exit_code_of_the_database(
    queued: Queued, teacher: StubServer, tmp_path: Path
) -> None:
    teacher.behaviour = lambda _: Reply(delay=0.2)
    with rebase(queued.database_url, tmp_path, *WORK, REBASE_LEASE_SECONDS="1") as worker:
        wait_for_questions(teacher, 1)
        with queued.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = 'f00'"))
        said = lines(worker)
    assert worker.returncode == 3, said
    assert "newer than this rebase-db" in str(said[-1]["message"])
    assert said[-1]["exit_code"] == 3
    assert queued.count("transforming") == 0


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_drain_that_cannot_go_on_ends_with_the_exit_code_of_its_error(
    queued: Queued, teacher: StubServer, tmp_path: Path, log_format: str
) -> None:
    teacher.behaviour = lambda _: Reply(status=401)
    with rebase(queued.database_url, tmp_path, *WORK[:5], "--drain", "--log-format", log_format) as worker:
        output, errors = worker.communicate(timeout=TIMEOUT)
    assert (worker.returncode, output) == (6, ""), errors
    if log_format == "json":
        assert json.loads(errors.splitlines()[-1])["exit_code"] == 6
    else:
        assert [line for line in errors.splitlines() if line.startswith("error: ")]
    assert queued.count("retrieved") == 20


def test_stages_are_worked_on_in_the_order_data_flows(queued: Queued, tmp_path: Path) -> None:
    stages = ["--stage", "distill", "--stage", "embed", "--stage", "distill"]
    with rebase(queued.database_url, tmp_path, "work", "--drain", "--log-format", "json", *stages) as worker:
        said = lines(worker)
    assert said[0]["stages"] == ["embed", "distill"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--stage", "cook"], "cook"),
        (["--concurrency", "0"], "concurrency"),
        (["--batch", "0"], "batch"),
        (["--grace", "-1"], "grace"),
        (["--metrics-port", "70000"], "metrics-port"),
        (["--log-format", "xml"], "xml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_options_are_refused(invoke: Callable[..., Result], arguments: list[str], complaint: str) -> None:
    refused = invoke("work", *arguments)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert complaint in refused.stderr
