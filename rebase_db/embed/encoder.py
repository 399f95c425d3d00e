"""Texts to unit vectors with any encoder that sentence-transformers can load, as fast as the machine allows.

The vectors are those of `SentenceTransformer.encode(texts, normalize_embeddings=True)`; what differs is the way there:

- Texts are tokenised in bulk, ahead of the model, and packed by their true number of tokens under a token budget.
- On a CPU texts are laid end to end without padding (`rebase_db.embed.unpadded`) where the model allows it. Loading runs
  both ways on a few texts and keeps the padded one unless they agree.
- On a GPU, and for models that do not allow it, batches are rectangles of nearly equal length.
- An encoder that is not a text transformer (static embeddings, a router) is left to sentence-transformers as a whole.

A text's vector depends on its batch by no more than rounding, about 1e-7 a component in float32.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from rebase_db.embed.identity import (
    DEFAULT_ENCODER,
    PRECISIONS,
    EncoderError,
    EncoderIdentity,
    find_encoder,
    read_shape,
    weights_hash,
)
from rebase_db.embed.packing import pack
from rebase_db.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from rebase_db.embed.identity import EncoderFiles
    from rebase_db.embed.unpadded import UnpaddedModel

__all__ = ["DEFAULT_ENCODER", "Encoder", "EncoderError", "EncoderIdentity", "encoder_identity", "load_encoder"]

_TEXTS_A_SLICE = 2_000  # tokenised at once: enough to sort by length, little enough to hold
_CHARACTERS_A_CALL = 1_000_000  # the tokenizer keeps about 100 bytes a token of a call, cut-off ones too
_CHARACTERS_A_TOKEN = 16  # a longer text is first tried by its beginning
_TOKENS_A_BATCH = {"cpu": 4_096, "cuda": 32_768}  # with padding
_PROBE_TOKENS = 600
_PROBE_TOLERANCE = 1e-5


def encoder_identity(
    name: str = DEFAULT_ENCODER,
    *,
    revision: str | None = None,
    precision: str = "float32",
    max_tokens: int | None = None,
) -> EncoderIdentity:
    """The identity that `load_encoder` would give, mostly without loading the model: its files are read and hashed.

    Raises:
        EncoderError: As `load_encoder`.
    """
    files = find_encoder(name, revision)
    shape = read_shape(files.folder)
    if shape is None:
        return _load(files, "cpu", precision, max_tokens).identity
    return _identity(files, shape[0], shape[1], precision, max_tokens)


def load_encoder(
    name: str = DEFAULT_ENCODER,
    *,
    revision: str | None = None,
    device: str | None = None,
    precision: str = "float32",
    max_tokens: int | None = None,
) -> Encoder:
    """Load an encoder from a folder, the hub or, for the default one, the installed package.

    Only safetensors weights are read and no code of the model is run.

    Args:
        name: A folder, or the name of a model on the hub.
        revision: Commit, tag or branch on the hub; its default branch where None.
        device: As torch names it; the GPU if there is one where None.
        precision: `float32`, or `bfloat16` or `float16` for matrix products in that format: faster where the hardware
            has it (1 - cosine to float32 about 2e-5 and 3e-7 with the default encoder).
        max_tokens: Read less of each text than the encoder could.

    Raises:
        EncoderError: The encoder cannot be found, is not safe to load, or cannot do what is asked.
    """
    return _load(find_encoder(name, revision), device, precision, max_tokens)


def _identity(
    files: EncoderFiles, width: int, limit: int, precision: str, max_tokens: int | None
) -> EncoderIdentity:
    if precision not in PRECISIONS:
        raise EncoderError(f"there is no precision {precision}", hint=did_you_mean(precision, list(PRECISIONS)))
    if max_tokens is not None and not 1 <= max_tokens <= limit:
        raise EncoderError(
            f"the encoder {files.name} reads at most {limit} tokens of a text, not {max_tokens}",
            hint=f"Ask for 1 to {limit} tokens.",
        )
    return EncoderIdentity(
        files.name, files.revision, weights_hash(files), width, limit if max_tokens is None else max_tokens, precision
    )


def _load(files: EncoderFiles, device: str | None, precision: str, max_tokens: int | None) -> Encoder:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    weights_hash(files)  # refuses pickles before anything reads them
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model = SentenceTransformer(
            str(files.folder),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:
        problem = f"the encoder {files.name} cannot be loaded: {str(error).partition(chr(10))[0]}"
    else:
        problem = ""
    finally:
        if bars:
            logging.enable_progress_bar()
    if problem:
        raise EncoderError(problem, hint="It must load with sentence-transformers, without code of its own.")
    width, limit = model.get_embedding_dimension(), model.max_seq_length
    if width is None or limit is None:
        raise EncoderError(f"the encoder {files.name} does not say how wide its vectors are or how much it reads")
    identity = _identity(files, width, limit, precision, max_tokens)
    model.max_seq_length = identity.max_tokens
    return Encoder(model, identity)


class Encoder:
    """A loaded encoder, see `load_encoder`. Not for calls from several threads at once.

    Attributes:
        identity: What its vectors must be stored with.
        device: Where it computes, as torch names it.
    """

    def __init__(self, model: SentenceTransformer, identity: EncoderIdentity) -> None:
        import torch

        self.identity = identity
        self.device = str(model.device)
        self._model = model.eval()
        self._dtype: torch.dtype = getattr(torch, identity.precision)
        self._tokenizer = _plain_tokenizer(model)
        self._prompt = model.prompts.get(model.default_prompt_name or "", "")
        self._can_cut = self._tokenizer is not None and _splits_at_spaces(self._tokenizer)
        self._unpadded: UnpaddedModel | None = None
        if self._tokenizer is not None and model.device.type == "cpu":
            self._unpadded = self._probe_unpadded()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts; a few thousand a call keep every core busy and need little memory.

        Args:
            texts: Any number, any length, empty ones too. Unicode without lone surrogates.

        Returns:
            len(texts) x `identity.width`, rows of unit length in the order of the texts.

        Raises:
            EncoderError: A vector came out with NaN or infinity (the precision is too low for this encoder).
        """
        vectors = np.empty((len(texts), self.identity.width), dtype=np.float32)
        slices = [texts[start : start + _TEXTS_A_SLICE] for start in range(0, len(texts), _TEXTS_A_SLICE)]
        start = 0
        with ThreadPoolExecutor(1, thread_name_prefix="tokenise") as ahead:
            for part, tokens in zip(slices, ahead.map(self._tokenise, slices), strict=True):
                vectors[start : start + len(part)] = self._encode_slice(part, tokens)
                start += len(part)
        if not np.isfinite(vectors).all():
            raise EncoderError(
                f"the encoder {self.identity.name} gives vectors that are not numbers in {self.identity.precision}",
                hint="Use --precision float32." if self.identity.precision != "float32" else "Use another encoder.",
            )
        return vectors
