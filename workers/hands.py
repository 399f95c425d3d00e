"""What the slots of a process have in hand, so that rows claimed without anybody knowing can be told from them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.outcomes import Release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

    from rebase_db.queue import Claim, Queue


DOUBT_SECONDS = 15.0
"""How long a server may still be busy with a claim whose client is gone."""


class Hands:
    """Claims by queue, shared by the runners of one worker.

    A connection that breaks while claiming leaves open whether the claim was committed. If it was, the rows are this
    worker's, it lives, so nobody rescues them, and it does not know of them. Hence, for a while after such a break and
    before each claim, what the database says this worker holds is compared with what it has in hand.
    """

    def __init__(self) -> None:
        # Held while claiming: what is claimed is in hand before anybody compares.
        self._claiming = threading.Lock()
        self._held: dict[str, set[int]] = {}
        self._doubtful_until: dict[str, float] = {}

    def take(
        self, connection: Connection, of: Queue, worker_id: int, claim: Callable[[Connection], list[Claim]]
    ) -> list[Claim]:
        """Claim, over an autocommit connection."""
        with self._claiming:
            held = self._held.setdefault(of.name, set())
            if self._doubtful_until.get(of.name, 0) > time.monotonic():
                unknown = [item for item in queue.held_by(connection, of, worker_id) if item.item_id not in held]
                queue.settle(connection, of, worker_id, [(item, Release()) for item in unknown])
            try:
                claims = claim(connection)
            except BaseException:
                self._doubtful_until[of.name] = time.monotonic() + DOUBT_SECONDS
                raise
            held.update(item.item_id for item in claims)
            return claims

    def put_down(self, of: Queue, claims: Iterable[Claim]) -> None:
        """These are settled, or somebody else's by now."""
        with self._claiming:
            self._held[of.name].difference_update(item.item_id for item in claims)
