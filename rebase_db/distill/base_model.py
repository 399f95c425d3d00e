"""Which model a student starts from."""

from __future__ import annotations

from rebase_db.embed.identity import EncoderError, find_encoder, weights_hash
from rebase_db.errors import TrainingError


def resolve_base(name: str, revision: str | None = None) -> tuple[str, str, bytes]:
    """The folder, the revision and the weights hash (32 bytes) of a base model, found as encoders are.

    Raises:
        TrainingError: There is no such model, the hub cannot be reached, or its weights are not safetensors.
    """
    try:
        files = find_encoder(name, revision)
        return str(files.folder), files.revision, weights_hash(files)
    except EncoderError as error:
        raise TrainingError(f"No base model to train: {error.message}", hint=error.hint) from error
