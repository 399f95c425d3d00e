"""A stage for tests of the runner: it does what it is told with the rows it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import true

from tests.queue import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Engine

    from rebase_db.lease import Lease
    from rebase_db.queue import Claim, Queue


class StubStage:
    """Finishes every claimed row as done, unless told to do something else with its first batches.

    Args:
        engine: The database.
        lease: The worker.
        queue: What to drain.
        scripted: What to do with the first batch, the second and so on.
        batch: Rows a batch.
    """

    def __init__(
        self,
        engine: Engine,
        lease: Lease,
        queue: Queue,
        *scripted: Callable[[StubStage, Sequence[Claim]], None],
        batch: int = 4,
    ) -> None:
        self.engine = engine
        self.lease = lease
        self.queue = queue
        self.scope: ColumnElement[bool] = true()
        self.batch = batch
        self.scripted = list(scripted)
        self.batches: list[list[Claim]] = []

    def work(self, claims: Sequence[Claim]) -> None:
        self.batches.append(list(claims))
        (self.scripted.pop(0) if self.scripted else StubStage.finish)(self, claims)

    def finish(self, claims: Sequence[Claim]) -> None:
        with self.engine.begin() as connection:
            rows.done(connection, self.queue, self.lease.worker_id, list(claims))

    def close(self) -> None:
        """Nothing to let go of."""
