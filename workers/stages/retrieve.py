"""Claims waiting retrievals, all of one encoder at once, and computes them in one pass over the vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.faults import FaultPoint, reach
from rebase_db.retrieve.run import compute_retrievals, read_requests, retrievals_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.lease import Lease
    from rebase_db.queue import Claim
    from rebase_db.retrieve.run import Request


class RetrieveStage:
    """Computes retrievals with one encoder."""

    queue = queue.RETRIEVE
    batch = 256

    def __init__(self, engine: Engine, lease: Lease, encoder_id: int, load_encoder: Callable[[], Encoder]) -> None:
        self.engine = engine
        self.lease = lease
        self.load_encoder = load_encoder
        self.scope = retrievals_of(encoder_id)

    def work(self, claims: Sequence[Claim]) -> None:
        """Score once, then rank and write retrieval by retrieval."""
        reach(FaultPoint.RETRIEVE_CLAIMED)
        held = {claim.item_id: claim for claim in claims}
        with self.engine.connect() as connection:
            requests = read_requests(connection, list(held))

        def finish(connection: Connection, request: Request, counts: dict[str, int | float | None]) -> None:
            claim = held[request.retrieval_id]
            queue.finish(connection, self.queue, self.lease.worker_id, [claim], "done", values=counts)

        compute_retrievals(self.engine, requests, self.load_encoder, finish)

    def close(self) -> None:
        """Nothing to let go of: the encoder is the caller's."""
