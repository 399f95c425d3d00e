"""The real corpus in a database, with the stored vectors in place of forty minutes of embedding.

Only benchmarks and tests of what comes after embedding use the stored vectors; the embed stage is measured on texts it
embeds itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import func, select, text

from rebase_db.database.copy import copy_in
from rebase_db.embed.encoder import encoder_identity
from rebase_db.embed.plan import plan_chunks, register_encoder
from rebase_db.embed.store import EMBEDDING_COLUMNS, embedding_tuples
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.schema import EmbedChunk, TextValue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Engine

HASH_BYTES = 32


def load_corpus(engine: Engine, sources: Sequence[str]) -> None:
    """Ingest sources."""
    for source in open_sources(sources):
        load_dataset(engine, source)


def fill_vectors(engine: Engine, data: Path) -> int:
    """Give every chunk all of whose texts have a stored vector those vectors; the encoder's id."""
    vectors = np.load(data / "vectors" / "all-MiniLM-L6-v2.float16.npy", mmap_mode="r")
    digests = (data / "vectors" / "sha256.bin").read_bytes()
    place = {digests[start : start + HASH_BYTES]: start // HASH_BYTES for start in range(0, len(digests), HASH_BYTES)}
    with engine.begin() as connection:
        encoder_id = register_encoder(connection, encoder_identity())
        plan_chunks(connection, encoder_id)
        chunks = connection.execute(
            select(
                EmbedChunk.embed_chunk_id, EmbedChunk.dataset_id, EmbedChunk.first_text_id, EmbedChunk.last_text_id
            ).where(EmbedChunk.encoder_id == encoder_id, EmbedChunk.state == "waiting")
        ).all()
        for chunk_id, dataset_id, first, last in chunks:
            rows = connection.execute(
                select(TextValue.text_id, TextValue.sha256)
                .where(TextValue.dataset_id == dataset_id, TextValue.text_id.between(first, last))
                .order_by(TextValue.text_id)
            ).all()
            if not all(row.sha256 in place for row in rows):
                continue
            found = np.asarray(vectors[[place[row.sha256] for row in rows]], np.float32)
            buffer = embedding_tuples(dataset_id, encoder_id, [row.text_id for row in rows], found)
            copy_in(connection, "embedding", EMBEDDING_COLUMNS, [buffer])
            connection.execute(
                EmbedChunk.__table__.update()  # type: ignore[attr-defined]
                .where(EmbedChunk.embed_chunk_id == chunk_id)
                .values(state="done", finished_at=func.clock_timestamp())
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
    return encoder_id
