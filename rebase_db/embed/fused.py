"""A layer of the BERT family in fewer, larger steps: the same sums in float32, less memory traffic.

Query, key and value come from one matrix product; the activation and the residual sums are done while a product is
written; the weights are laid out for the processor once instead of at every call. The operators are those that
torch.compile puts into a frozen model on a CPU, here without a compiler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

_LAYERS = {"BertLayer", "RobertaLayer", "XLMRobertaLayer"}  # one structure under three names


def attend(
    rows: Sequence[torch.Tensor], stretches: Sequence[tuple[int, int, int]], scale: float | None = None
) -> torch.Tensor:
    """Attention of every token to its own text, for texts laid end to end.

    Args:
        rows: Query, key and value, each tokens x heads x width of a head.
        stretches: First token, number of texts and their common length, in order and without gaps.
        scale: Factor on the scores; 1 / sqrt(width of a head) where None.

    Returns:
        tokens x heads x width of a head.
    """
    parts: list[torch.Tensor] = []
    for first, count, length in stretches:
        query, key, value = (
            row[first : first + count * length].view(count, length, *row.shape[1:]).transpose(1, 2) for row in rows
        )
        found = functional.scaled_dot_product_attention(query, key, value, scale=scale)
        parts.append(found.transpose(1, 2).flatten(0, 1))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class _Product:
    """A linear layer, or several side by side, with its weights laid out for oneDNN."""

    def __init__(self, *layers: nn.Linear) -> None:
        weight = torch.cat([layer.weight.detach() for layer in layers])
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, None)  # noqa: SLF001 - see the module docstring
        self._bias = torch.cat([layer.bias.detach() for layer in layers])

    def __call__(self, rows: torch.Tensor, then: str = "none") -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            rows, self._weight, self._bias, then, [], "none" if then == "gelu" else ""
        )
        return result

    def plus(self, rows: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(  # noqa: SLF001
            rows, residual, self._weight, self._bias, "add"
        )
        return result


class FusedLayer(nn.Module):
    """Stands in for a layer of the BERT family where texts come laid end to end.

    Args:
        layer: A layer that `is_fusible`.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        attention = layer.attention.self
        self._heads: int = attention.num_attention_heads
        self._inputs = _Product(attention.query, attention.key, attention.value)
        self._output = _Product(layer.attention.output.dense)
        self._attention_norm = layer.attention.output.LayerNorm
        self._up = _Product(layer.intermediate.dense)
        self._down = _Product(layer.output.dense)
        self._norm = layer.output.LayerNorm

    def forward(
        self, hidden_states: torch.Tensor, *_: Any, stretches: Sequence[tuple[int, int, int]], **__: Any
    ) -> torch.Tensor:
        """The layer's output, 1 x tokens x width as its input; `stretches` as in `attend`."""
        rows = hidden_states[0]
        mixed = self._inputs(rows).view(len(rows), 3, self._heads, -1).unbind(1)
        rows = self._attention_norm(self._output.plus(attend(mixed, stretches).flatten(1), rows))
        return self._norm(self._down.plus(self._up(rows, "gelu"), rows))[None]  # type: ignore[no-any-return]


def is_fusible(layer: nn.Module, hidden_act: str) -> bool:
    """Whether `FusedLayer` computes what the layer does, and this build of torch has the operators."""
    if type(layer).__name__ not in _LAYERS or hidden_act != "gelu" or getattr(layer, "is_decoder", False):
        return False
    return hasattr(torch.ops.mkldnn, "_linear_pointwise") and all(
        parameter.dtype == torch.float32 for parameter in layer.parameters()
    )
