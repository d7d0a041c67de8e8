"""A decoder over packed records and, in generation, one token further: for every family.

LLaMA's layers are run by :mod:`fragmodel.model.packed_decoder`. Those of other families are transformers' own, with an
attention that reads from its :class:`Records` or :class:`Continued` how the rows lie; turns, norms, biases, windows
and activations are thereby the family's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from fragmodel.embeddings.packed_attention import Segments
from fragmodel.model.decoders import has_fused_layers
from fragmodel.model.packed_decoder import (
    KeysValues,
    NewTokens,
    append_packed,
    attend,
    attend_known,
    run_packed,
)

_ATTENTION = "fragmodel_rows"


def run_decoder(
    decoder: PreTrainedModel,
    x: Tensor,
    lengths: Sequence[int],
    kept: Tensor,
    dtype: torch.dtype,
    cache: list[KeysValues] | None = None,
) -> Tensor:
    """As :func:`fragmodel.model.packed_decoder.run_packed`, for a decoder of any family."""
    if has_fused_layers(decoder.config):
        return run_packed(decoder, x, lengths, kept, dtype, cache)
    positions = torch.cat([torch.arange(length, device=x.device) for length in lengths])
    return _run(decoder, x[None], positions[None], Records(Segments(lengths), cache), dtype)[0, kept]


def append_tokens(
    decoder: PreTrainedModel, x: Tensor, new: NewTokens, cache: list[KeysValues], dtype: torch.dtype
) -> Tensor:
    """Last hidden states ``[n, m, dim]``, after the final norm, of ``m`` more tokens for each of ``n`` records.

    Args:
        decoder: The layers, with or without LoRA.
        x: ``[n, m, dim]`` input embeddings of the tokens.
        new: Where they stand, and what each of them sees.
        cache: Keys and values of each layer ``[n, key heads, room, head_dim]``; the new ones are put in.
        dtype: Number format of the matrix products.
    """
    if has_fused_layers(decoder.config):
        return append_packed(decoder, x, new, cache, dtype)
    return _run(decoder, x, new.positions, Continued(new, cache), dtype)


@dataclass(frozen=True)
class Records:
    """Whole records, one after the other in one row of the batch; attention stays inside each."""

    lengths: Segments
    cache: list[KeysValues] | None  # gets keys and values ``[T, key heads, head_dim]`` of each layer

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None
    ) -> Tensor:
        """``[1, T, heads, head_dim]`` from ``[1, heads, T, head_dim]``."""
        query, key, value = (states[0].transpose(0, 1) for states in (query, key, value))
        if self.cache is not None:
            self.cache.append((key, value))
        if window is None or max(self.lengths) <= window:
            return attend(query, key, value, self.lengths, scale)[None]
        parts = zip(*(states.split(self.lengths) for states in (query, key, value)), strict=True)
        return torch.cat([_attend_window(*part, scale, window) for part in parts])[None]


@dataclass(frozen=True)
class Continued:
    """More tokens for each of ``n`` records whose keys and values are known."""

    new: NewTokens
    cache: list[KeysValues]  # of each layer [n, key heads, room, head_dim]

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None
    ) -> Tensor:
        """``[n, m, heads, head_dim]`` from ``[n, heads, m, head_dim]``."""
        keys, values = (
            self.new.put(known, states.transpose(1, 2).to(known.dtype))
            for known, states in zip(self.cache[layer], (key, value), strict=True)
        )
        visible = self.new.visible
        if window is not None:
            visible = visible & (self.new.seen[:, None] > self.new.positions[..., None] - window)
        return attend_known(query.transpose(1, 2).to(keys.dtype), keys, values, visible, scale)


def _run(
    decoder: PreTrainedModel, x: Tensor, positions: Tensor, rows: Records | Continued, dtype: torch.dtype
) -> Tensor:
    # For good, not for this call: checkpointed layers run again in the backward pass. Other calls get SDPA from it.
    decoder.config._attn_implementation = _ATTENTION
    # Half precision by autocast, as transformers and peft are run. Weights in half are not widened here for a CPU
    # that has no arithmetic for them.
    half = {dtype, next(decoder.layers.parameters()).dtype} - {torch.float32}
    with torch.autocast(x.device.type, dtype=next(iter(half), None), enabled=bool(half)):
        return decoder(
            inputs_embeds=x,
            position_ids=positions,
            attention_mask=x.new_empty(
                1, 1, 1, 1
            ),  # one that is made already is handed on; attention reads rows
            use_cache=False,
            rows=rows,
        ).last_hidden_state


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    rows: Records | Continued | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    if rows is None:
        return sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            scaling=scaling,
            sliding_window=sliding_window,
            **options,
        )
    assert scaling is not None
    query, key = query.to(value.dtype), key.to(value.dtype)
    return rows.attend(module.layer_idx, query, key, value, scaling, sliding_window), None


AttentionInterface.register(_ATTENTION, _attention)
AttentionMaskInterface.register(_ATTENTION, sdpa_mask)


def _attend_window(query: Tensor, key: Tensor, value: Tensor, scale: float, window: int) -> Tensor:
    """As :func:`attend` for one record, a row seeing itself and the ``window - 1`` rows before it."""
    places = torch.arange(len(query), device=query.device)
    back = places[:, None] - places
    query, key, value = (states.transpose(0, 1)[None] for states in (query, key, value))
    mixed = F.scaled_dot_product_attention(
        query, key, value, attn_mask=(back >= 0) & (back < window), scale=scale, enable_gqa=True
    )
    return mixed[0].transpose(0, 1)
