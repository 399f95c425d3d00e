"""Which lane of a stage a worker serves next."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

from rebase_db.lanes import ReadyLane, ready_lanes

if TYPE_CHECKING:
    from rebase_db.database.line import Line
    from rebase_db.queue import Lane, Queue

LANES_SECONDS = 0.5
"""How old a list of ready lanes may be: a task that comes late, or first by priority, waits no longer for its turn."""
BLOCKED_SECONDS = 30.0
LONGEST_BLOCKED_SECONDS = 900.0
"""How long a lane that cannot be worked on here (a missing key, a missing model) is left to other workers: at first,
and at most after doubling it each time."""


class Schedule:
    """The ready lanes of one queue, shared by the slots of a worker."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._lock = threading.Lock()
        self._lanes: list[ReadyLane] = []
        self._looked_at = float("-inf")
        self._looked_for = -1
        self._served: dict[Lane, float] = {}
        self._blocked_until: dict[Lane, float] = {}
        self._blocked_for: dict[Lane, float] = {}

    def next_lane(self, line: Line, woken: int) -> Lane | None:
        """Of the ready lanes with the highest priority the one that was served longest ago; None when there is none.

        `woken` is how often there was a reason to look again.
        """
        now = time.monotonic()
        with self._lock:
            if now - self._looked_at > LANES_SECONDS or self._looked_for != woken:
                with line.open() as connection:
                    self._lanes = ready_lanes(connection, self._queue)
                self._looked_at, self._looked_for = now, woken
            lanes = [each for each in self._lanes if self._blocked_until.get(each.lane, 0) <= now]
            if not lanes:
                return None
            first = max(each.priority for each in lanes)
            lane = min(
                (each.lane for each in lanes if each.priority == first),
                key=lambda lane: (self._served.get(lane, 0), random.random()),  # noqa: S311 - no secret
            )
            self._served[lane] = now
            return lane

    def found_empty(self, lane: Lane) -> bool:
        """Nothing could be claimed: the list is a little old, or others were quicker. Whether other lanes are left."""
        with self._lock:
            self._lanes = [each for each in self._lanes if each.lane != lane]
            return bool(self._lanes)

    def block(self, lane: Lane) -> float:
        """Leave a lane to other workers; for how many seconds."""
        with self._lock:
            now = time.monotonic()
            if self._blocked_until.get(lane, 0) <= now:  # not by another slot, a moment ago
                seconds = min(self._blocked_for.get(lane, BLOCKED_SECONDS / 2) * 2, LONGEST_BLOCKED_SECONDS)
                self._blocked_for[lane], self._blocked_until[lane] = seconds, now + seconds
            return self._blocked_for[lane]

    def unblock(self, lane: Lane) -> None:
        """It could be worked on after all."""
        with self._lock:
            self._blocked_for.pop(lane, None)
