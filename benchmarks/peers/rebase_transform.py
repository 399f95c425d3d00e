"""`rebase transform TASK`, counting what it waits for the database: a JSON line at the end of standard output.

`ended` is the time of day, as the database on the same machine has it.

Every statement, COPY and commit of psycopg waits in one method. Waiting for notifications is left out; connecting too.
The time is a thread's own: from sending to having the answer, with what the network, the server, locks and the wait for
Python's own lock took of it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg

from cli.main import main

if TYPE_CHECKING:
    from collections.abc import Generator

_wait = psycopg.Connection.wait
_lock = threading.Lock()
_waits = {"waits": 0.0, "seconds": 0.0}


def _counted(self: psycopg.Connection[Any], generator: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
    if sys._getframe(1).f_code.co_name == "notifies":  # noqa: SLF001 - the caller is not told in another way
        return _wait(self, generator, *args, **options)
    began = time.perf_counter()
    try:
        return _wait(self, generator, *args, **options)
    finally:
        seconds = time.perf_counter() - began
        with _lock:
            _waits["waits"] += 1
            _waits["seconds"] += seconds


if __name__ == "__main__":
    psycopg.Connection.wait = _counted  # type: ignore[method-assign, assignment]
    sys.argv = ["rebase", "transform", *sys.argv[1:]]
    try:
        main()
    finally:
        print(json.dumps(_waits | {"ended": time.time()}), flush=True)
