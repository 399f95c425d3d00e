"""Claims waiting retrievals, all of one encoder at once, and computes them in one pass over the vectors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.embed.plan import plan_chunks
from rebase_db.outcomes import Done, Snooze
from rebase_db.retrieve.run import compute_retrievals, read_requests
from workers.stage import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.queue import Claim, Lane

SNOOZE_SECONDS = 2


class RetrieveStage:
    """Computes retrievals; a lane is an encoder."""

    queue = queue.RETRIEVE
    batch = 256
    # Most of writing is the server checking the keys of links, on one core a connection.
    writers = 2
    alone = True
    finishes = False
    claiming = None

    def __init__(self, engine: Engine, load_encoder: Callable[[int], Encoder]) -> None:
        self.engine = engine
        self.load_encoder = load_encoder

    def prepare(self, lane: Lane) -> None:
        """Nothing: the encoder is needed only for tasks without query vectors."""

    def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:
        """Score once, then rank and write task by task. Texts that no chunk covers yet are queued and waited for."""
        (encoder_id,) = lane
        with self.engine.begin() as connection:
            planned = plan_chunks(connection, encoder_id)
            requests = read_requests(connection, [claim.item_id for claim in claims])
        if planned:
            yield Result([(claim, Snooze(SNOOZE_SECONDS, "texts are being embedded")) for claim in claims])
            return
        held = {claim.item_id: claim for claim in claims}
        for scored in compute_retrievals(self.engine, requests, partial(self.load_encoder, encoder_id)):
            yield Result([(held[request.retrieval_id], Done()) for request in scored.requests], scored.write)

    def close(self) -> None:
        """Nothing to let go of: the encoder is the caller's."""
