"""Encoding on a CPU without a single padding token, and equal to the padded way.

The texts of a batch are laid end to end as one row of tokens. All layers but attention treat tokens one by one and see
a dense matrix; attention runs over each stretch of equally long texts at once, as a rectangle without a mask. This is
the form that sentence-transformers itself gives a model with flash attention 2 (`cu_seq_lens_q`), so the model's own
modules and pooling are used as they are; only the attention function is ours, through the registry of transformers,
and in models of the BERT family the layers can be (`rebase_db.embed.fused`).

Batches are shared by threads that compute with one core each, instead of all cores working on one batch: small matrices
stay in a core's own cache, and no core waits for another at the end of every operation.
"""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface

from rebase_db.embed.fused import FusedLayer, attend, is_fusible
from rebase_db.embed.packing import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

ATTENTION = "rebase_unpadded"
MAX_THREADS = 16  # beyond it the threads wait for Python's lock; further cores then work inside the operations

_MOST_TOKENS_A_BATCH = 2_048  # enough to read the weights seldom; more would only push activations out of the cache
_FEWEST_TOKENS_A_BATCH = 128  # fewer cost more in reading weights than another thread saves


class UnsupportedModelError(Exception):
    """The model asks for more than plain attention within each text: it needs the padded way."""


def unpadded_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    stretches: Sequence[tuple[int, int, int]] = (),
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of every token to its own text, in the signature of `transformers.AttentionInterface`.

    Args:
        module: The attention layer.
        query: 1 x heads x tokens x width of a head.
        key: The same shape as `query`.
        value: The same shape as `query`.
        attention_mask: None; a mask has no place here.
        scaling: Factor on the scores; 1 / sqrt(width of a head) where None.
        stretches: First token, number of texts and their common length, in order and without gaps.
        options: Anything else a layer passes on; what would change the result is refused.

    Returns:
        1 x tokens x heads x width of a head, and no weights.

    Raises:
        UnsupportedModelError: The layer wants a mask, a window, a cap, a bias or causal attention.
    """
    changes = ("sliding_window", "softcap", "position_bias", "is_causal", "s_aux", "cache")
    if attention_mask is not None or not stretches or key.shape != query.shape:
        raise UnsupportedModelError
    wanted = [name for name in changes if options.get(name) is not None and options[name] is not False]
    if getattr(module, "is_causal", False) or wanted:
        raise UnsupportedModelError
    return attend([tensor[0].transpose(0, 1) for tensor in (query, key, value)], stretches, scaling)[None], None


AttentionInterface.register(ATTENTION, unpadded_attention)


class UnpaddedModel:
    """A sentence-transformers model on the CPU that takes texts as lists of token ids and wastes nothing on padding.

    Takes the model over: its attention and layers are replaced. Whether the result equals that of the untouched model
    is for the caller to probe (see `rebase_db.embed.encoder`), and then to `keep` or `release`.

    Args:
        model: Its first module is a text transformer.
        fuse: Replace the layers that can be; they compute in float32 whatever `encode` is told.

    Raises:
        UnsupportedModelError: Its attention cannot be replaced.
    """

    def __init__(self, model: SentenceTransformer, *, fuse: bool) -> None:
        transformer = model.transformers_model
        if transformer is None or not transformer.is_backend_compatible():  # type: ignore[no-untyped-call]
            raise UnsupportedModelError
        self._model = model
        self._position_offset = _position_offset(model)
        self._width = model.get_embedding_dimension() or 0
        self._transformer = transformer
        self._attention_before = transformer.config._attn_implementation  # noqa: SLF001 - transformers has no other way
        transformer.set_attn_implementation(ATTENTION)
        self._layers_before = _fusible_layers(transformer) if fuse else []
        for stack, index, layer in self._layers_before:
            stack[index] = FusedLayer(layer)
        self._start_threads(torch.get_num_threads())

    def _start_threads(self, cores: int) -> None:
        self._threads = min(cores, MAX_THREADS)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="encode")
        all_started = threading.Barrier(self._threads)

        def claim_cores() -> None:
            torch.set_num_threads(cores // self._threads)
            all_started.wait()

        for started in [self._pool.submit(claim_cores) for _ in range(self._threads)]:
            started.result()
        torch.set_num_threads(cores)  # each worker keeps its number, but the last call sets that of threads to come

    def keep(self) -> None:
        """Let go of the layers that were replaced, and of the memory their weights take."""
        self._layers_before.clear()

    def release(self) -> None:
        """Give the model back with its own attention and layers, and end the threads."""
        for stack, index, layer in self._layers_before:
            stack[index] = layer
        self._transformer.set_attn_implementation(self._attention_before)
        self._pool.shutdown()

    def encode(self, token_ids: Sequence[Sequence[int]], dtype: torch.dtype) -> NDArray[np.float32]:
        """Encode texts of one token or more each.

        Args:
            token_ids: The tokens of each text, special ones included, cut to what the model reads.
            dtype: Precision of the matrix products.

        Returns:
            Unit vectors, one row a text, in the order of the texts.
        """
        waiting: SimpleQueue[NDArray[np.intp]] = SimpleQueue()
        for batch in self._even_batches([len(ids) for ids in token_ids]):
            waiting.put(batch)
        vectors = np.empty((len(token_ids), self._width), dtype=np.float32)

        def work() -> None:
            autocast = torch.autocast("cpu", dtype, enabled=dtype != torch.float32)
            with torch.inference_mode(), autocast, suppress(Empty):
                while True:
                    batch = waiting.get_nowait()
                    vectors[batch] = self._forward([token_ids[index] for index in batch])

        for done in [self._pool.submit(work) for _ in range(self._threads)]:
            done.result()
        return vectors

    def _even_batches(self, lengths: list[int]) -> list[NDArray[np.intp]]:
        """Batches of about the same size, as many for each thread, so that no thread is left with nothing to do."""
        rounds = max(1, math.ceil(sum(lengths) / (self._threads * _MOST_TOKENS_A_BATCH)))
        share = math.ceil(sum(lengths) / (self._threads * rounds))
        return pack(lengths, max(_FEWEST_TOKENS_A_BATCH, share), padded=False)

    def _forward(self, batch: list[Sequence[int]]) -> NDArray[np.float32]:
        lengths = np.array([len(ids) for ids in batch])
        ends = lengths.cumsum()
        borders = [0, *(np.flatnonzero(np.diff(lengths)) + 1).tolist(), len(lengths)]
        stretches = [
            (int(ends[first] - lengths[first]), last - first, int(lengths[first])) for first, last in pairwise(borders)
        ]
        positions = np.concatenate([np.arange(length) for length in lengths]) + self._position_offset
        features = self._model(
            {
                "input_ids": torch.from_numpy(np.concatenate(batch))[None],
                "position_ids": torch.from_numpy(positions)[None],
                "cu_seq_lens_q": torch.from_numpy(np.concatenate([[0], ends])),
                "stretches": stretches,
            }
        )
        return functional.normalize(features["sentence_embedding"].float(), dim=1).numpy()


def _position_offset(model: SentenceTransformer) -> int:
    """The number of a text's first position: 0, or one past the padding id in the family of RoBERTa."""
    for module in model.modules():
        padding_id = getattr(module, "padding_idx", None)
        if isinstance(padding_id, int) and isinstance(getattr(module, "position_embeddings", None), nn.Embedding):
            return padding_id + 1
    return 0


def _fusible_layers(transformer: PreTrainedModel) -> list[tuple[nn.ModuleList, int, nn.Module]]:
    """Each layer that `FusedLayer` can stand in for, with its stack and place in it."""
    stacks = [module for module in transformer.modules() if isinstance(module, nn.ModuleList)]
    activation = getattr(transformer.config, "hidden_act", "")
    return [
        (stack, index, layer) for stack in stacks for index, layer in enumerate(stack) if is_fusible(layer, activation)
    ]
