"""Claims chunks of texts and stores their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.control import wake
from rebase_db.embed.identity import EncoderError
from rebase_db.embed.store import read_chunk, write_vectors
from rebase_db.lanes import unfinished
from rebase_db.outcomes import Done, Fail
from workers.stage import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.queue import Claim, Lane


class EmbedStage:
    """Embeds queued chunks; a lane is an encoder."""

    queue = queue.EMBED
    batch = 8
    writers = 1
    alone = True
    finishes = False
    claiming = None

    def __init__(self, engine: Engine, load_encoder: Callable[[int], Encoder]) -> None:
        self.engine = engine
        self.load_encoder = load_encoder

    def prepare(self, lane: Lane) -> None:
        """Load the encoder."""
        self.load_encoder(*lane)

    def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:
        """Encode the chunks, each by itself: what a chunk's vectors are must not depend on its neighbours."""
        (encoder_id,) = lane
        for claim in claims:
            with self.engine.connect() as connection:
                chunk = read_chunk(connection, claim)
            try:
                vectors = self.load_encoder(encoder_id).encode(chunk.texts)
            except EncoderError as error:
                yield Result([(claim, Fail(error.message))])
                continue

            def write(connection: Connection, _: Collection[int]) -> None:
                write_vectors(connection, chunk, vectors)  # noqa: B023 - written before the next chunk is read

            yield Result([(claim, Done())], write)
        with self.engine.begin() as connection:
            if not unfinished(connection, self.queue):
                wake(connection)  # retrievals wait for the last chunk

    def close(self) -> None:
        """Nothing to let go of: the encoder is the caller's."""
