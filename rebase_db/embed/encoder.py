"""Texts to unit vectors with any encoder that sentence-transformers can load, as fast as the machine allows.

The vectors are those of `SentenceTransformer.encode(texts, normalize_embeddings=True)`; what differs is the way there:

- Texts are tokenised in bulk, ahead of the model, and packed by their true number of tokens under a token budget.
- On a CPU texts are laid end to end without padding (`rebase_db.embed.unpadded`) where the model allows it. Loading
  runs both ways on a few texts and keeps the padded one unless they agree.
- On a GPU, and for models that do not allow it, batches are rectangles of nearly equal length.
- An encoder that is not a text transformer (static embeddings, a router) is left to sentence-transformers as a whole.

A text's vector depends on its batch by no more than rounding, about 1e-7 a component in float32.
"""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from rebase_db.embed.identity import (
    DEFAULT_ENCODER,
    PRECISIONS,
    UNLIMITED,
    EncoderError,
    EncoderIdentity,
    find_encoder,
    read_shape,
    weights_hash,
)
from rebase_db.embed.packing import pack
from rebase_db.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedTokenizerBase

    from rebase_db.embed.identity import EncoderFiles
    from rebase_db.embed.unpadded import UnpaddedModel

    Tokens = dict[str, list[list[int]]]

__all__ = ["DEFAULT_ENCODER", "Encoder", "EncoderError", "EncoderIdentity", "encoder_identity", "load_encoder"]

_TEXTS_A_SLICE = 4_096  # tokenised at once: enough to sort by length, little enough to hold
_CHARACTERS_A_CALL = 1_000_000  # the tokenizer keeps about 100 bytes a token of a call, cut-off ones too
_CHARACTERS_A_TOKEN = 16  # a longer text is first tried by its beginning
_TOKENS_A_BATCH = {"cpu": 4_096, "cuda": 32_768}  # with padding
_SPACE = re.compile(r"[ \t\n\r]")  # not all of \s: the tokenizer drops the odd ones and joins what they part
_FEWEST_TOKENS = 3  # one between the first and the last, which are not the text's own
_PROBE_TOKENS = 600  # enough to show a window of attention
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
    return _identity(files, weights_hash(files), shape, precision, max_tokens)


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
        precision: `float32`, or `bfloat16` or `float16` for matrix products in that format, which is faster where the
            hardware has it. With the default encoder 1 - cosine to the float32 vector is about 2e-5 for `bfloat16`
            (at most 6e-5 over 300 texts of real data) and 3e-7 for `float16`.
        max_tokens: Read less of each text than the encoder could.

    Raises:
        EncoderError: The encoder cannot be found, is not safe to load, or cannot do what is asked.
    """
    return _load(find_encoder(name, revision), device, precision, max_tokens)


def _identity(
    files: EncoderFiles, weights: bytes, shape: tuple[int, int], precision: str, max_tokens: int | None
) -> EncoderIdentity:
    width, limit = shape
    if precision not in PRECISIONS:
        raise EncoderError(f"there is no precision {precision}", hint=did_you_mean(precision, list(PRECISIONS)))
    if max_tokens is not None and not _FEWEST_TOKENS <= max_tokens <= limit:
        raise EncoderError(
            f"the encoder {files.name} reads {_FEWEST_TOKENS} to {limit} tokens of a text, not {max_tokens}",
            hint="Ask for a number between, or leave it out.",
        )
    return EncoderIdentity(
        files.name, files.revision, weights, width, limit if max_tokens is None else max_tokens, precision
    )


def _load(files: EncoderFiles, device: str | None, precision: str, max_tokens: int | None) -> Encoder:
    weights = weights_hash(files)  # first: it refuses pickles before anything reads them
    model = _load_model(files, device)
    width, limit = model.get_embedding_dimension(), model.max_seq_length
    if width is None or limit is None:
        raise EncoderError(f"the encoder {files.name} does not say how wide its vectors are or how much it reads")
    identity = _identity(files, weights, (width, int(min(limit, UNLIMITED))), precision, max_tokens)
    if max_tokens is not None:
        model.max_seq_length = max_tokens
    return Encoder(model, identity)


def _load_model(files: EncoderFiles, device: str | None) -> SentenceTransformer:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    hint = "It must load with sentence-transformers, without code of its own."
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        problem, hint = f"there is no device {device} here: {_first_line(error)}", "Leave the device out, or use cpu."
    else:
        try:
            return SentenceTransformer(
                str(files.folder),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
        except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:
            problem = f"the encoder {files.name} cannot be loaded: {_first_line(error)}"
    finally:
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    raise EncoderError(problem, hint=hint)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


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
        # The tokenizer cannot be used from two threads at once, and the model would use every core twice.
        self._encoding = threading.Lock()
        self._model = model.eval()
        self._dtype: torch.dtype = getattr(torch, identity.precision)
        self._prompt = model.prompts.get(model.default_prompt_name or "") or ""
        self._tokenizer = _plain_tokenizer(model, self._prompt)
        self._can_cut = self._tokenizer is not None and _splits_at_spaces(self._tokenizer)
        self._unpadded = self._probe_unpadded() if self._tokenizer is not None and self.device == "cpu" else None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts; a few thousand a call keep every core busy and need little memory.

        Args:
            texts: Any number, any length, empty ones too. Unicode without lone surrogates.

        Returns:
            len(texts) x `identity.width`, rows of unit length in the order of the texts.

        Raises:
            EncoderError: A vector came out with NaN or infinity (the precision is too low for this encoder).
        """
        with self._encoding:
            return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.empty((len(texts), self.identity.width), dtype=np.float32)
        slices = [list(texts[start : start + _TEXTS_A_SLICE]) for start in range(0, len(texts), _TEXTS_A_SLICE)]
        start = 0
        with ThreadPoolExecutor(1, thread_name_prefix="tokenise") as ahead:
            for part, tokens in zip(slices, ahead.map(self._tokenise, slices), strict=True):
                if self._unpadded is not None:
                    encoded = self._unpadded.encode(tokens["input_ids"], self._dtype)
                else:
                    encoded = self._encode_padded(tokens) if tokens else self._encode_as_a_whole(part)
                vectors[start : start + len(part)] = encoded
                start += len(part)
        if not np.isfinite(vectors).all():
            raise EncoderError(
                f"the encoder {self.identity.name} gives vectors that are not numbers in {self.identity.precision}",
                hint="Use float32." if self.identity.precision != "float32" else "Use another encoder.",
            )
        return vectors

    def _encode_padded(self, tokens: Tokens) -> NDArray[np.float32]:
        import torch
        from torch.nn.functional import normalize

        assert self._tokenizer is not None  # noqa: S101 - for the type checker: there are tokens
        lengths = [len(ids) for ids in tokens["input_ids"]]
        batches = pack(lengths, _TOKENS_A_BATCH.get(self._model.device.type, _TOKENS_A_BATCH["cuda"]))
        parts = []
        with torch.inference_mode(), self._autocast():
            for batch in batches:
                rows = {name: [values[index] for index in batch] for name, values in tokens.items()}
                features = self._tokenizer.pad(rows, return_tensors="pt").to(self._model.device)
                parts.append(normalize(self._model(dict(features))["sentence_embedding"].float(), dim=1))
            together: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        vectors = np.empty_like(together)
        vectors[np.concatenate(batches)] = together
        return vectors

    def _encode_as_a_whole(self, texts: list[str]) -> NDArray[np.float32]:
        import torch

        with self._autocast():
            vectors = self._model.encode(
                texts, normalize_embeddings=True, convert_to_tensor=True, show_progress_bar=False
            )
        return vectors.to("cpu", torch.float32).numpy()

    def _autocast(self) -> torch.autocast:
        import torch

        return torch.autocast(self._model.device.type, self._dtype, enabled=self._dtype != torch.float32)

    def _tokenise(self, texts: list[str]) -> Tokens:
        """Token ids and what else the model takes, cut to the maximum; nothing if sentence-transformers tokenises."""
        if self._tokenizer is None:
            return {}
        texts = [self._prompt + text for text in texts] if self._prompt else texts
        if not self._can_cut:
            return self._call_tokenizer(texts)
        beginnings = [self._beginning(text) for text in texts]
        tokens = self._call_tokenizer(beginnings)
        too_short = [
            index
            for index, ids in enumerate(tokens["input_ids"])
            if len(ids) < self.identity.max_tokens and len(beginnings[index]) < len(texts[index])
        ]
        for name, values in self._call_tokenizer([texts[index] for index in too_short]).items():
            for index, value in zip(too_short, values, strict=True):
                tokens[name][index] = value
        return tokens

    def _beginning(self, text: str) -> str:
        """As much of a long text as will nearly always fill the maximum, up to white space: no token reaches across."""
        space = _SPACE.search(text, self.identity.max_tokens * _CHARACTERS_A_TOKEN)
        return text[: space.start()] if space else text

    def _call_tokenizer(self, texts: list[str]) -> Tokens:
        assert self._tokenizer is not None  # noqa: S101 - for the type checker
        tokens: Tokens = {}
        characters = np.cumsum([len(text) for text in texts]) // _CHARACTERS_A_CALL
        for call in np.split(np.arange(len(texts)), np.flatnonzero(np.diff(characters)) + 1):
            if call.size:
                found = self._tokenizer([texts[index] for index in call], truncation="longest_first")
                for name, values in found.items():
                    tokens.setdefault(name, []).extend(values)
        return tokens

    def _probe_unpadded(self) -> UnpaddedModel | None:
        """The way without padding, if it gives what sentence-transformers gives for texts short, empty and long."""
        import torch

        from rebase_db.embed.unpadded import UnpaddedModel, UnsupportedModelError

        texts = ["", "Is it the same?", " ".join(map(str, range(min(_PROBE_TOKENS, self.identity.max_tokens))))]
        wanted = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        tokens = self._tokenise(texts)["input_ids"]
        for fuse in (True, False) if self._dtype == torch.float32 else (False,):
            try:
                unpadded = UnpaddedModel(self._model, fuse=fuse)
            except UnsupportedModelError:
                return None
            try:
                found = unpadded.encode(tokens, torch.float32)
            except (UnsupportedModelError, TypeError, ValueError, RuntimeError, IndexError, KeyError):
                found = np.full_like(wanted, np.nan)
            if np.abs(found - wanted).max() <= _PROBE_TOLERANCE:
                unpadded.keep()
                return unpadded
            unpadded.release()
        return None


def _plain_tokenizer(model: SentenceTransformer, prompt: str) -> PreTrainedTokenizerBase | None:
    """The tokenizer of an encoder that does no more with a text than tokenise it, run a transformer and pool."""
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    first = model[0]
    if not isinstance(first, Transformer) or first.can_flatten_inputs or first.processing_kwargs:
        return None
    if set(first.modality_config) != {"text"} or first.modality_config["text"]["method"] != "forward":
        return None
    if prompt and not all(module.include_prompt for module in model if isinstance(module, Pooling)):
        return None
    tokenizer = first.tokenizer
    return tokenizer if tokenizer is not None and tokenizer.is_fast and tokenizer("")["input_ids"] else None


def _splits_at_spaces(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether what follows white space cannot change the tokens before it: so with the tokenizers of BERT."""
    backend = tokenizer.backend_tokenizer
    return (
        type(backend.normalizer).__name__ == "BertNormalizer"
        and type(backend.pre_tokenizer).__name__ == "BertPreTokenizer"
        and tokenizer.truncation_side == "right"
        and not any(
            token.lstrip or token.rstrip or _SPACE.search(token.content)
            for token in tokenizer.added_tokens_decoder.values()
        )
    )
