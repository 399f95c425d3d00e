"""What the slots of a process have in hand, so that rows claimed without anybody knowing can be told from them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.outcomes import Release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Connection

    from rebase_db.queue import Claim, Queue


class Hands:
    """Claims by queue, shared by the runners of one worker.

    A connection that breaks while claiming leaves open whether the claim was committed. If it was, the rows are this
    worker's, it lives, so nobody rescues them, and it does not know of them. Hence, now and then, what the database
    says this worker holds is compared with what it has in hand.
    """

    def __init__(self) -> None:
        # Held while claiming: what is claimed is in hand before anybody compares.
        self._claiming = threading.Lock()
        self._held: dict[str, set[int]] = {}

    def take(self, of: Queue, claim: Callable[[], list[Claim]]) -> list[Claim]:
        """Claim."""
        with self._claiming:
            claims = claim()
            self._held.setdefault(of.name, set()).update(item.item_id for item in claims)
            return claims

    def put_down(self, of: Queue, claims: Iterable[Claim]) -> None:
        """These are settled, or somebody else's by now."""
        with self._claiming:
            self._held[of.name].difference_update(item.item_id for item in claims)

    def put_back_unknown(self, connection: Connection, worker_id: int, queues: Sequence[Queue]) -> None:
        """Hand back rows that were claimed without anybody knowing, over an autocommit connection."""
        with self._claiming:
            for of in queues:
                held = self._held.get(of.name, set())
                unknown = [item for item in queue.held_by(connection, of, worker_id) if item.item_id not in held]
                queue.settle(connection, of, worker_id, [(item, Release()) for item in unknown])
