"""A decoder over packed records and, in generation, one token further: for every family.

LLaMA's layers are run by :mod:`fragmodel.model.packed_decoder`. Those of other families are transformers' own, with an
attention that reads from its :class:`Records` or :class:`NextTokens` how the rows lie; turns, norms, biases, windows
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
from fragmodel.model.packed_decoder import KeysValues, append_packed, attend, run_packed

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
    decoder: PreTrainedModel, x: Tensor, lengths: Tensor, cache: list[KeysValues], dtype: torch.dtype
) -> Tensor:
    """Last hidden states ``[n, dim]``, after the final norm, of one more token for each of ``n`` records.

    Args:
        decoder: The layers, with or without LoRA.
        x: ``[n, dim]`` input embeddings of the tokens.
        lengths: ``[n]`` tokens of each record so far, which is the position of the new one.
        cache: Keys and values of each layer ``[n, key heads, room, head_dim]``; the new ones are put in.
        dtype: Number format of the matrix products.
    """
    if has_fused_layers(decoder.config):
        return append_packed(decoder, x, lengths, cache, dtype)
    return _run(decoder, x[:, None], lengths[:, None], NextTokens(lengths, cache), dtype)[:, 0]


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
class NextTokens:
    """One more token for each of ``n`` records whose keys and values are known."""

    lengths: Tensor  # [n] tokens so far
    cache: list[KeysValues]  # of each layer [n, key heads, room, head_dim]

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None
    ) -> Tensor:
        """``[n, 1, heads, head_dim]`` from ``[n, heads, 1, head_dim]``."""
        keys, values = self.cache[layer]
        every = torch.arange(len(query), device=query.device)
        keys[every, :, self.lengths] = key[:, :, 0].to(keys.dtype)
        values[every, :, self.lengths] = value[:, :, 0].to(values.dtype)
        longest = int(self.lengths.max()) + 1
        places = torch.arange(longest, device=query.device)
        visible = places <= self.lengths[:, None]
        if window is not None:
            visible &= places > self.lengths[:, None] - window
        # The query heads of one key head stand beside each other, as the rows of its attention.
        mixed = F.scaled_dot_product_attention(
            query[:, :, 0].unflatten(1, (keys.shape[1], -1)).to(keys.dtype),
            keys[:, :, :longest],
            values[:, :, :longest],
            attn_mask=visible[:, None, None],
            scale=scale,
        )
        return mixed.flatten(1, 2)[:, None]


def _run(
    decoder: PreTrainedModel, x: Tensor, positions: Tensor, rows: Records | NextTokens, dtype: torch.dtype
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
    rows: Records | NextTokens | None = None,
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
