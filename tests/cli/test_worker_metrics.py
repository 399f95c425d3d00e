"""Metrics of a worker, as Prometheus reads them."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine

from rebase_db.errors import RebaseError
from tests.cli.conftest import TASK, rebase
from tests.transform.stub_server import Reply
from workers.metrics import WorkerMetrics
from workers.runner import Tally

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Queued
    from tests.transform.stub_server import StubServer

Samples = dict[tuple[str, ...], float]


def scrape(port: int) -> Samples:
    """Every sample, by its name and the values of its labels, in the order of the labels' names."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (one.name, *(one.labels[name] for name in sorted(one.labels))): one.value
        for family in families
        for one in family.samples
    }


def test_a_worker_serves_what_it_did_and_how_far_all_is(queued: Queued, teacher: StubServer, tmp_path: Path) -> None:
    answered = iter(range(10))
    teacher.behaviour = lambda _: Reply(hang=next(answered, None) is None)
    options = ("--stage", "transform", "--concurrency", "1", "--batch", "10", "--metrics-port", "0", "--grace", "0")
    with rebase(queued.database_url, tmp_path, "work", *options) as worker:
        assert worker.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", worker.stderr.readline())
        assert found
        for _ in range(11):  # the eleventh question is of the second batch
            assert teacher.arrived.acquire(timeout=60)
        samples = scrape(int(found[1]))
        worker.terminate()
        worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert samples["rebase_rows_claimed_total", "transform"] == 10
    assert samples["rebase_rows_settled_total", "transform"] == 10
    assert samples["rebase_rows_fenced_total", "transform"] == 0
    assert samples["rebase_batch_seconds_count", "transform"] == 1
    assert samples["rebase_batches_in_hand",] == 1
    assert samples["rebase_database_up",] == 1
    assert samples["rebase_rows", "transform", "transformed", TASK] == 10
    assert samples["rebase_rows", "transform", "transforming", TASK] == 10
    assert samples["rebase_oldest_heartbeat_seconds", "transform", TASK] >= 0
    assert samples["rebase_longest_in_hand_seconds", "transform", TASK] > 0
    assert queued.count("transforming") == 0


def test_a_database_that_is_away_is_a_metric_and_no_failure() -> None:
    nowhere = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    metrics = WorkerMetrics(nowhere, lambda: 0)
    metrics.on_batch("embed", Tally(claimed=3, settled=1, fenced=2), 0.5)
    with metrics.served("127.0.0.1", 0) as port:
        samples = scrape(port)
    assert samples["rebase_database_up",] == 0
    assert samples["rebase_rows_fenced_total", "embed"] == 2
    assert not [name for name, *_ in samples if name == "rebase_rows"]


def test_a_port_that_is_taken_is_an_error_in_words() -> None:
    metrics = WorkerMetrics(create_engine("postgresql+psycopg://"), lambda: 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RebaseError, match=f"port {port}: "), metrics.served("127.0.0.1", port):
            pass


def test_the_library_is_imported_only_when_metrics_are_asked_for() -> None:
    program = "import sys, cli.main, workers.worker; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
