"""Claims chunks of texts and stores their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.embed.plan import chunks_of
from rebase_db.embed.store import read_chunk, write_vectors
from rebase_db.faults import FaultPoint, reach

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.lease import Lease
    from rebase_db.queue import Claim


class EmbedStage:
    """Embeds what is queued for one encoder."""

    queue = queue.EMBED
    batch = 8

    def __init__(self, engine: Engine, lease: Lease, encoder_id: int, load_encoder: Callable[[], Encoder]) -> None:
        self.engine = engine
        self.lease = lease
        self.load_encoder = load_encoder
        self.scope = chunks_of(encoder_id)

    def work(self, claims: Sequence[Claim]) -> None:
        """Encode and store the chunks, each by itself: what a chunk's vectors are must not depend on its neighbours."""
        reach(FaultPoint.EMBED_CLAIMED)
        for claim in claims:
            with self.engine.connect() as connection:
                chunk = read_chunk(connection, claim)
            vectors = self.load_encoder().encode(chunk.texts)
            reach(FaultPoint.EMBED_ENCODED)
            with self.engine.begin() as connection:
                write_vectors(connection, chunk, vectors)
                queue.finish(connection, self.queue, self.lease.worker_id, [claim], "done")
                reach(FaultPoint.EMBED_BEFORE_COMMIT)

    def close(self) -> None:
        """Nothing to let go of: the encoder is the caller's."""
