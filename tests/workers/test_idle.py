"""Workers that were there before the work was."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.pipeline.end_state import end_state, illegal_events
from tests.workers.ready import make_ready
from tests.workers.world import until
from workers import schedule, wake
from workers.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.workers.conftest import Workshops
    from tests.workers.world import Workshop


UNCOMPARED = """
    SELECT 1 FROM example WHERE NOT EXISTS (
        SELECT FROM check_result JOIN check_definition USING (check_id)
        WHERE check_result.example_id = example.example_id AND name = 'duplicate'
    )"""


@contextmanager
def running(worker: Worker) -> Iterator[threading.Thread]:
    """The worker, in a thread."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield thread
    finally:
        worker.stop()
        thread.join()


def sleeps(worker: Worker) -> bool:
    """Whether it has listened, looked once, found nothing, and waits to be woken."""
    found = getattr(worker, "_wake", None)
    # Woken once, when it began to listen; the condition's waiters are the slots that sleep.
    return found is not None and found.times == 1 and len(found._woken._waiters) == 1


def test_idle_workers_are_woken_by_a_notification(workshops: Workshops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "POLL_SECONDS", 3600)
    with workshops.open("retrieve") as workshop, ExitStack() as stack:
        idle = [Worker(workshop.engine, WorkerOptions(["transform"], batch=8)) for _ in range(2)]
        for worker in idle:
            stack.enter_context(running(worker))
        until(lambda: all(map(sleeps, idle)), "both sleep")
        make_ready(workshop.database_url, workshops.files, "transform", monkeypatch)
        left = "SELECT 1 FROM retrieval_link WHERE state IN ('retrieved', 'transforming')"
        until(lambda: not workshop.query(left), "the links are transformed")
        until(lambda: not workshop.query(UNCOMPARED), "their examples are compared with each other")
        assert end_state(workshop.engine) == workshops.after("transform")
        assert illegal_events(workshop.engine) == []


def test_a_lane_that_is_done_does_not_put_a_worker_to_sleep(
    workshops: Workshops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of lanes may name one whose last rows were claimed since; the others on it have rows still."""
    monkeypatch.setattr(wake, "POLL_SECONDS", 3600)
    monkeypatch.setattr(schedule, "LANES_SECONDS", 3600)
    with workshops.open("transform") as workshop:
        lanes = workshop.query("SELECT count(*) FROM retrieval_link GROUP BY task_version_id")
        assert len(set(lanes)) == 2, "one is done before the other"
        with running(Worker(workshop.engine, WorkerOptions(["transform"], batch=8))):
            left = "SELECT 1 FROM retrieval_link WHERE state IN ('retrieved', 'transforming')"
            until(lambda: not workshop.query(left), "the links are transformed")


def finished(workshop: Workshop, table: str) -> bool:
    """Whether there are rows, all with an end."""
    return workshop.query(f"SELECT bool_and(finished_at IS NOT NULL) FROM {table}") == [True]  # noqa: S608


@pytest.mark.slow
def test_a_whole_task_is_done_by_workers_that_were_there_first(workshops: Workshops) -> None:
    with workshops.open("") as alone, workshops.open("") as workshop:
        whole = alone.rebase("run", str(alone.task))
        assert whole.returncode == 0, whole.stderr
        idle = [workshop.work("--concurrency", "2") for _ in range(2)]
        until(lambda: all("works on" in each.said() for each in idle), "both are there")

        for arguments in (
            ("ingest", str(workshop.folder / "corpus")),
            ("task", "add", str(workshop.task)),
            ("retrieve", "fruit-or-tool", "--detach"),
        ):
            asked = workshop.rebase(*arguments)
            assert asked.returncode == 0, asked.stderr
        until(lambda: finished(workshop, "retrieval_link"), "the links are transformed")
        asked = workshop.rebase("distill", "fruit-or-tool", "--detach")
        assert asked.returncode == 0, asked.stderr
        until(lambda: finished(workshop, "training_run"), "the student is trained")
        for worker in idle:
            worker.stop()

        state, expected = end_state(workshop.engine), end_state(alone.engine)
        for only_of_run in ("scores of runs", "predictions"):
            expected[only_of_run] = []
        assert state == expected
        assert illegal_events(workshop.engine) == []
