"""Takes what an iterator gives as it comes, as many at a time as are there."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def arrivals(items: Iterator[T], most: int, linger_seconds: float = 0.0) -> Iterator[list[T]]:
    """Groups of up to `most` items: what came while the group before was dealt with, and `linger_seconds` more.

    So nothing that is there waits long for what is not, and what is slow to write is written in larger groups. The
    iterator is read in a thread of its own, and closed there: once this is closed, with the next item that comes.
    """
    arrived: SimpleQueue[T | _End] = SimpleQueue()
    closed = threading.Event()

    def read() -> None:
        error: BaseException | None = None
        try:
            with closing(items) as given:  # type: ignore[type-var]
                for item in given:
                    arrived.put(item)
                    if closed.is_set():
                        return
        except BaseException as raised:  # noqa: BLE001 - raised again where it is taken
            error = raised
        arrived.put(_End(error))

    threading.Thread(target=read, name="rebase-arrivals", daemon=True).start()
    try:
        while True:
            group = [arrived.get()]
            until = time.monotonic() + linger_seconds
            with suppress(Empty):
                while len(group) < most and not isinstance(group[-1], _End):
                    group.append(arrived.get(timeout=max(until - time.monotonic(), 0)))
            found = [item for item in group if not isinstance(item, _End)]
            if found:
                yield found
            if isinstance(group[-1], _End):
                if group[-1].error is not None:
                    raise group[-1].error
                return
    finally:
        closed.set()
