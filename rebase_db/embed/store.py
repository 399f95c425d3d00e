"""Reading a chunk's texts and writing its vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import func, select

from rebase_db.database.copy import INT2, INT4, copy_in
from rebase_db.retract.lock import hold_still
from rebase_db.schema import EmbedChunk, Embedding, TextValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from rebase_db.queue import Claim


class ChunkTexts:
    """The texts of one claimed chunk that have no vector yet."""

    __slots__ = ("claim", "dataset_id", "encoder_id", "text_ids", "texts")

    def __init__(
        self, claim: Claim, dataset_id: int, encoder_id: int, text_ids: Sequence[int], texts: Sequence[str]
    ) -> None:
        self.claim = claim
        self.dataset_id = dataset_id
        self.encoder_id = encoder_id
        self.text_ids = text_ids
        self.texts = texts


def read_chunk(connection: Connection, claim: Claim) -> ChunkTexts:
    """The texts of a claimed chunk, less those that have a vector already and those that were erased."""
    chunk = connection.execute(
        select(EmbedChunk.dataset_id, EmbedChunk.encoder_id, EmbedChunk.first_text_id, EmbedChunk.last_text_id).where(
            EmbedChunk.embed_chunk_id == claim.item_id
        )
    ).one()
    embedded = (
        select(Embedding.text_id)
        .where(
            Embedding.dataset_id == TextValue.dataset_id,
            Embedding.encoder_id == chunk.encoder_id,
            Embedding.text_id == TextValue.text_id,
        )
        .exists()
    )
    rows = connection.execute(
        select(TextValue.text_id, TextValue.text)
        .where(
            TextValue.dataset_id == chunk.dataset_id,
            TextValue.text_id.between(chunk.first_text_id, chunk.last_text_id),
            TextValue.text.is_not(None),
            ~embedded,
        )
        .order_by(TextValue.text_id)
    ).all()
    return ChunkTexts(
        claim, chunk.dataset_id, chunk.encoder_id, [row.text_id for row in rows], [row.text for row in rows]
    )


def embedding_tuples(
    dataset_id: int, encoder_id: int, text_ids: Sequence[int] | NDArray[Any], vectors: NDArray[np.float32]
) -> bytes:
    """COPY tuples of `embedding` from vectors of shape (texts, width)."""
    width = vectors.shape[1]
    # halfvec_send: 16-bit width, 16 bits unused, then the elements as big-endian half floats.
    record = np.dtype(
        [
            ("fields", INT2), ("dataset_length", INT4), ("dataset_id", INT4), ("encoder_length", INT4),
            ("encoder_id", INT4), ("text_length", INT4), ("text_id", INT4), ("width_length", INT4), ("width", INT4),
            ("vector_length", INT4), ("dimensions", INT2), ("unused", INT2), ("vector", ">f2", (width,)),
        ]
    )  # fmt: skip
    tuples = np.zeros(len(text_ids), record)
    tuples["fields"] = 5
    for name in ("dataset_length", "encoder_length", "text_length", "width_length"):
        tuples[name] = 4
    tuples["dataset_id"], tuples["encoder_id"], tuples["text_id"] = dataset_id, encoder_id, text_ids
    tuples["width"] = tuples["dimensions"] = width
    tuples["vector_length"] = 4 + 2 * width
    tuples["vector"] = vectors
    return tuples.tobytes()


EMBEDDING_COLUMNS = ("dataset_id", "encoder_id", "text_id", "width", "vector")


def write_vectors(connection: Connection, chunk: ChunkTexts, vectors: NDArray[np.float32]) -> None:
    """Store a chunk's vectors, shape (texts, width), unit length; not of texts erased since they were read."""
    if not len(chunk.text_ids):
        return
    hold_still(connection)
    erased = select(TextValue.text_id).where(
        TextValue.dataset_id == chunk.dataset_id,
        TextValue.text_id == func.any(list(chunk.text_ids)),
        TextValue.erased_by.is_not(None),
    )
    gone = set(connection.execute(erased).scalars())
    kept = [place for place, text_id in enumerate(chunk.text_ids) if text_id not in gone]
    if kept:
        text_ids = [chunk.text_ids[place] for place in kept]
        buffer = embedding_tuples(chunk.dataset_id, chunk.encoder_id, text_ids, vectors[kept] if gone else vectors)
        copy_in(connection, "embedding", EMBEDDING_COLUMNS, [buffer])
