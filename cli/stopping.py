"""Signals that end a worker: asked once it stops in order, asked twice it ends at once."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_OF_SIGNAL = 128  # what shells add to the number of the signal that ended a process

log = logging.getLogger(__name__)


class Stoppable(Protocol):
    """What can be asked to stop."""

    def stop(self) -> None:
        """Take on nothing new and end."""
        ...

    def hand_back(self) -> None:
        """Give up what is in hand, at once."""
        ...


@contextmanager
def stopped_by_signals(worker: Stoppable, grace: float) -> Iterator[None]:
    """Within the context, SIGTERM and Ctrl-C stop `worker`; only the main thread can be told.

    The first signal lets it finish what is in hand. After `grace` seconds that is handed back and the process ends,
    with exit code 0: nothing is lost. A second signal ends the process there and then; the database sees its
    connections go, and others take what it had.
    """
    asked, ended = threading.Event(), threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        if asked.is_set():
            os._exit(EXIT_OF_SIGNAL + number)
        asked.set()
        worker.stop()
        # In a thread: a handler that logs can meet the lock of the line that it interrupted.
        threading.Thread(target=_end, args=(worker, number, grace, ended), name="rebase-grace", daemon=True).start()

    before = {each: signal.signal(each, on_signal) for each in SIGNALS}
    try:
        yield
    finally:
        ended.set()
        for each, handler in before.items():
            signal.signal(each, handler)


def _end(worker: Stoppable, number: int, grace: float, ended: threading.Event) -> None:
    log.info(
        "%s: stopping. What is in hand has %g seconds to finish; a second signal ends it at once.",
        signal.Signals(number).name,
        grace,
    )
    if ended.wait(grace):
        return
    try:
        worker.hand_back()
    except Exception:
        log.exception("What is in hand could not be handed back; others will rescue it.")
        os._exit(1)
    log.info("What was still in hand after %g seconds is handed back.", grace)
    # The work itself cannot be interrupted: a teacher that does not answer, a step of a training.
    os._exit(0)
