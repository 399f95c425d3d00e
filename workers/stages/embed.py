"""Claims chunks of texts and stores their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.embed.plan import chunks_of
from rebase_db.embed.store import read_chunk, write_vectors
from rebase_db.faults import FaultPoint, reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.embed.store import ChunkTexts
    from rebase_db.lease import Lease
    from rebase_db.queue import Claim

TEXTS_A_PASS = 4096
"""Small chunks are encoded together up to about this many texts, and committed together."""


class EmbedStage:
    """Embeds what is queued for one encoder."""

    queue = queue.EMBED
    batch = 64  # most datasets are small, and so are their chunks; large ones go pass by pass

    def __init__(self, engine: Engine, lease: Lease, encoder_id: int, load_encoder: Callable[[], Encoder]) -> None:
        self.engine = engine
        self.lease = lease
        self.load_encoder = load_encoder
        self.scope = chunks_of(encoder_id)

    def work(self, claims: Sequence[Claim]) -> None:
        """Encode and store the chunks, pass by pass."""
        reach(FaultPoint.EMBED_CLAIMED)
        for chunks in self._passes(claims):
            vectors = self.load_encoder().encode([text for chunk in chunks for text in chunk.texts])
            reach(FaultPoint.EMBED_ENCODED)
            with self.engine.begin() as connection:
                first = 0
                for chunk in chunks:
                    write_vectors(connection, chunk, vectors[first : first + len(chunk.texts)])
                    first += len(chunk.texts)
                queue.finish(connection, self.queue, self.lease.worker_id, [chunk.claim for chunk in chunks], "done")
                reach(FaultPoint.EMBED_BEFORE_COMMIT)

    def _passes(self, claims: Sequence[Claim]) -> Iterator[list[ChunkTexts]]:
        chunks: list[ChunkTexts] = []
        for claim in claims:
            with self.engine.connect() as connection:
                chunk = read_chunk(connection, claim)
            if chunks and sum(len(known.texts) for known in chunks) + len(chunk.texts) > TEXTS_A_PASS:
                yield chunks
                chunks = []
            chunks.append(chunk)
        if chunks:
            yield chunks

    def close(self) -> None:
        """Nothing to let go of: the encoder is the caller's."""
