"""What is left to embed, as chunks of consecutive texts that workers claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, text

from rebase_db import queue
from rebase_db.control import revive
from rebase_db.database.registry import find_or_insert
from rebase_db.schema import EmbedChunk, Encoder
from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from rebase_db.embed.encoder import EncoderIdentity

CHUNK_TEXTS = 2048
"""Texts a chunk: enough to sort by length and pack well, few enough that a crash costs well under a minute."""


def register_encoder(connection: Connection, identity: EncoderIdentity) -> int:
    """The id of an encoder; anything that changes its vectors makes another one."""
    return find_or_insert(
        connection,
        Encoder,
        ["weights_hash", "name", "revision", "max_tokens", "precision"],
        {
            "name": identity.name,
            "revision": identity.revision,
            "weights_hash": identity.weights_hash,
            "width": identity.width,
            "max_tokens": identity.max_tokens,
            "precision": identity.precision,
        },
    )


def chunks_of(encoder_id: int) -> ColumnElement[bool]:
    """The chunks of one encoder, as a condition."""
    return EmbedChunk.encoder_id == encoder_id


def plan_chunks(connection: Connection, encoder_id: int) -> int:
    """Queue every text that no chunk of this encoder covers yet; the number of chunks that were added.

    Texts are numbered densely within a dataset, so what is not covered is what lies beyond the highest covered id.
    """
    # The encoder's row serialises planners, so that two of them do not cover the same texts twice.
    connection.execute(select(Encoder.encoder_id).where(Encoder.encoder_id == encoder_id).with_for_update())
    return connection.execute(
        text(named("plan_chunks")), {"encoder_id": encoder_id, "chunk_texts": CHUNK_TEXTS}
    ).rowcount


def revive_chunks(connection: Connection, encoder_id: int) -> int:
    """Queue an encoder's failed and cancelled chunks again; their number."""
    return revive(connection, queue.EMBED, ("failed", "cancelled"), chunks_of(encoder_id))
