"""A stage for tests of the runner: it does what it is told with the rows it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rebase_db.outcomes import Done
from tests.queue import rows
from workers.stage import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from rebase_db.queue import Claim, Lane, Queue

    Script = Callable[[Sequence[Claim]], Iterator[Result]]


class StubStage:
    """Finishes every claimed row as done, a result for each batch, unless told to do something else at first.

    Args:
        queue: What to claim.
        scripted: What to make of the first batch, the second and so on.
        batch: Rows a batch.
        writers: Results written at the same time.
    """

    def __init__(self, queue: Queue, *scripted: Script, batch: int = 4, writers: int = 1) -> None:
        self.queue = queue
        self.batch = batch
        self.writers = writers
        self.alone = True
        self.finishes = False
        self.claiming = None
        self.scripted = list(scripted)
        self.batches: list[list[Claim]] = []
        self.prepared: list[Lane] = []
        self.lanes: list[Lane] = []
        self.closed = 0

    def prepare(self, lane: Lane) -> None:
        self.prepared.append(lane)

    def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:
        self.lanes.append(lane)
        self.batches.append(list(claims))
        yield from (self.scripted.pop(0) if self.scripted else self.finish)(claims)

    def finish(self, claims: Sequence[Claim]) -> Iterator[Result]:
        """All of them done, in one result."""
        if claims:
            yield Result([(claim, Done()) for claim in claims], self.write)

    def finish_each(self, claims: Sequence[Claim]) -> Iterator[Result]:
        """All of them done, in a result each."""
        for claim in claims:
            yield from self.finish([claim])

    def write(self, _: Connection, held: Collection[int]) -> Mapping[int, dict[str, Any]] | None:
        """The columns that a done row of the queue must have."""
        values = rows.DONE.get(self.queue.name)
        return None if values is None else dict.fromkeys(held, values)

    def close(self) -> None:
        self.closed += 1
