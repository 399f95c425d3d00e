"""How a worker's process ends once it was asked to; with real signals in test_work.py."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from cli.stopping import stopped_by_signals


class Stubborn:
    """A worker that does not end by itself; handing back fails when it is told to."""

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails
        self.stopped = threading.Event()
        self.exit_code: int | None = None
        self.exited = threading.Event()

    def stop(self) -> None:
        self.stopped.set()

    def hand_back(self) -> None:
        if self.fails:
            raise ConnectionError("the database is away")

    def exit(self, code: int) -> None:
        """Instead of `os._exit`, which must not return."""
        if self.exit_code is None:
            self.exit_code = code
        self.exited.set()


@pytest.mark.parametrize(("fails", "code"), [(False, 0), (True, 1)])
def test_after_the_grace_it_hands_back_and_ends(monkeypatch: pytest.MonkeyPatch, fails: bool, code: int) -> None:
    worker = Stubborn(fails=fails)
    monkeypatch.setattr(os, "_exit", worker.exit)
    with stopped_by_signals(worker, grace=0):
        os.kill(os.getpid(), signal.SIGTERM)
        assert worker.stopped.wait(timeout=60)
        assert worker.exited.wait(timeout=60)
    assert worker.exit_code == code


def test_a_worker_that_ends_in_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Stubborn(fails=False)
    monkeypatch.setattr(os, "_exit", worker.exit)
    before = signal.getsignal(signal.SIGTERM)
    with stopped_by_signals(worker, grace=600):
        os.kill(os.getpid(), signal.SIGTERM)
        assert worker.stopped.wait(timeout=60)
    for thread in threading.enumerate():
        if thread.name == "rebase-grace":
            thread.join(timeout=60)
            assert not thread.is_alive()
    assert worker.exit_code is None
    assert signal.getsignal(signal.SIGTERM) == before
