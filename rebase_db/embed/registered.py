"""Loading an encoder that the database knows, and only if it is that encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from rebase_db.embed.identity import EncoderError
from rebase_db.schema import Encoder as EncoderTable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rebase_db.embed.encoder import Encoder

_NOT_ON_THE_HUB = ("local", "package ")


def load_registered(connection: Connection, encoder_id: int) -> Encoder:
    """Load an encoder by id.

    Raises:
        EncoderError: It cannot be found on this machine, or what goes by its name here has other weights.
    """
    from rebase_db.embed.encoder import load_encoder

    row = connection.execute(
        select(
            EncoderTable.name,
            EncoderTable.revision,
            EncoderTable.weights_hash,
            EncoderTable.precision,
            EncoderTable.max_tokens,
        ).where(EncoderTable.encoder_id == encoder_id)
    ).one()
    connection.rollback()  # loading may take minutes
    encoder = load_encoder(
        row.name,
        revision=None if row.revision.startswith(_NOT_ON_THE_HUB) else row.revision,
        precision=row.precision,
        max_tokens=row.max_tokens,
    )
    if encoder.identity.weights_hash != row.weights_hash:
        raise EncoderError(
            f"the encoder {row.name} on this machine is not the one of the database: its weights have SHA-256 "
            f"{encoder.identity.weights_hash.hex()[:16]}…, not {row.weights_hash.hex()[:16]}…",
            hint="Put the same files there as on the machine that registered it.",
        )
    return encoder
