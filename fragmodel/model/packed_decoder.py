"""The decoder's layers over packed records: rows of all records one after the other, without padding.

Same weights and formulas as ``transformers.LlamaModel``; positions restart with each record and attention stays inside
it. In the last layer only the rows that are asked for are computed, since no later layer reads the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.fsdp import register_fsdp_forward_method
from transformers import LlamaModel

from fragmodel.embeddings.packed_attention import Segments, attend_inside, takes_all_segments
from fragmodel.model.projections import project


@dataclass(frozen=True)
class Rows:
    """How the records lie in the rows, and how each row is turned by its position."""

    lengths: Segments  # rows of each record
    cosine: Tensor  # [T, 1, head_dim / 2]
    sine: Tensor
    dtype: torch.dtype  # of the products


KeysValues = tuple[Tensor, Tensor]  # [T, key heads, head_dim] each, keys turned by their positions


PACKED = "run_packed"


def gather_when_packed(decoder: LlamaModel) -> None:
    """Let layers that FSDP has sharded gather their weights for :func:`run_packed` as for their ``forward``."""
    for layer in decoder.layers:
        setattr(layer, PACKED, partial(_layer, layer))
        register_fsdp_forward_method(layer, PACKED)


def run_packed(
    decoder: LlamaModel,
    x: Tensor,
    lengths: Sequence[int],
    kept: Tensor,
    dtype: torch.dtype,
    cache: list[KeysValues] | None = None,
) -> Tensor:
    """Last hidden states ``[len(kept), dim]``, after the final norm, of the rows ``kept`` (in ascending order).

    Args:
        decoder: The layers, with or without LoRA.
        x: ``[T, dim]`` input embeddings of all records, one after the other.
        lengths: Rows of each record; their sum is ``T``.
        kept: ``[k]`` int64, the rows whose states are wanted.
        dtype: Number format of the matrix products.
        cache: Gets keys and values of each layer, to go on from in generation.
    """
    positions = torch.cat([torch.arange(length, device=x.device) for length in lengths])
    rows = Rows(Segments(lengths), *turns(decoder, positions, dtype), dtype)
    last = len(decoder.layers) - 1
    for number, layer in enumerate(decoder.layers):
        # A layer that is sharded among processes has its own way in, which gathers its weights.
        enter = getattr(layer, PACKED, partial(_layer, layer))
        run = partial(enter, rows=rows, kept=kept if number == last else None, cache=cache)
        if decoder.gradient_checkpointing and decoder.training and torch.is_grad_enabled():
            x = layer._gradient_checkpointing_func(run, x)
        else:
            x = run(x)
    return decoder.norm(x)


def turns(decoder: LlamaModel, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine ``[T, 1, head_dim / 2]`` of the rotary turns at ``positions [T]``."""
    exact = decoder.rotary_emb(torch.empty(0, dtype=torch.float32, device=positions.device), positions[None])
    cosine, sine = (turn[0, :, None, : turn.shape[-1] // 2].to(dtype) for turn in exact)
    return cosine, sine


def _layer(
    layer: nn.Module, x: Tensor, *, rows: Rows, kept: Tensor | None, cache: list[KeysValues] | None
) -> Tensor:
    attention, norm = layer.self_attn, layer.input_layernorm
    heads = partial(torch.Tensor.unflatten, dim=-1, sizes=(-1, attention.head_dim))
    if kept is None:
        query, key, value = map(
            heads,
            project((attention.q_proj, attention.k_proj, attention.v_proj), x, rows.dtype, norm=norm),
        )
        key = rotate(key, rows.cosine, rows.sine)
        mixed = attend(rotate(query, rows.cosine, rows.sine), key, value, rows.lengths, attention.scaling)
    else:
        key, value = map(heads, project((attention.k_proj, attention.v_proj), x, rows.dtype, norm=norm))
        x = x[kept]
        (query,) = map(heads, project((attention.q_proj,), x, rows.dtype, norm=norm))
        query = rotate(query, rows.cosine[kept], rows.sine[kept])
        key = rotate(key, rows.cosine, rows.sine)
        mixed = attend_from(query, key, value, rows.lengths, kept, attention.scaling)
    if cache is not None:
        cache.append((key, value))
    return after_attention(layer, x, mixed.flatten(1), rows.dtype)


def after_attention(layer: nn.Module, x: Tensor, mixed: Tensor, dtype: torch.dtype) -> Tensor:
    """The layer's output ``[T, dim]`` from its input and the mixed values ``[T, heads * head_dim]``."""
    x = x + project((layer.self_attn.o_proj,), mixed, dtype)[0]
    gate, up = project(
        (layer.mlp.gate_proj, layer.mlp.up_proj), x, dtype, norm=layer.post_attention_layernorm
    )
    return x + project((layer.mlp.down_proj,), up, dtype, gate=gate)[0]


@dataclass(frozen=True)
class NewTokens:
    """``m`` more tokens for each of ``n`` records whose keys and values are known.

    They need not follow each other: ``visible`` says what each goes on from, so that one prompt may have many answers.
    """

    positions: Tensor  # [n, m]
    slots: Tensor  # [n, m] where their keys and values go in the cache
    visible: Tensor  # bool [n, m, slots] which slots each token sees, its own among them
    seen: Tensor  # [n or 1, slots] positions of what lies in the slots

    @classmethod
    def next(cls, lengths: Tensor) -> "NewTokens":
        """One token for each record, behind the ``lengths [n]`` that it has."""
        slots = torch.arange(int(lengths.max()) + 1, device=lengths.device)
        places = lengths[:, None]
        return cls(places, places, (slots <= places)[:, None], slots[None])

    def put(self, known: Tensor, states: Tensor) -> Tensor:
        """Put ``states [n, m, key heads, head_dim]`` into the cache ``known``; gives the slots that are in sight."""
        known[torch.arange(len(states), device=states.device)[:, None], :, self.slots] = states
        return known[:, :, : self.visible.shape[-1]]


def attend_known(query: Tensor, key: Tensor, value: Tensor, visible: Tensor, scale: float) -> Tensor:
    """``[n, m, heads, head_dim]`` from queries of that shape, and keys and values ``[n, key heads, slots, head_dim]``.

    ``visible`` is bool ``[n, m, slots]``.
    """
    m = query.shape[1]
    # The query heads of one key head stand beside each other, as the rows of its attention.
    rows = query.unflatten(2, (key.shape[1], -1)).transpose(1, 2)
    seen = visible[:, None] if m == 1 else visible[:, None].repeat_interleave(rows.shape[3], 2)
    mixed = F.scaled_dot_product_attention(rows.flatten(2, 3), key, value, attn_mask=seen, scale=scale)
    return mixed.unflatten(2, (m, -1)).transpose(1, 2).flatten(2, 3)


def append_packed(
    decoder: LlamaModel, x: Tensor, new: NewTokens, cache: list[KeysValues], dtype: torch.dtype
) -> Tensor:
    """As :func:`fragmodel.model.decoder_pass.append_tokens`, for LLaMA's layers."""
    shape, x = x.shape, x.flatten(0, 1)
    cosine, sine = turns(decoder, new.positions.flatten(), dtype)
    for layer, (keys, values) in zip(decoder.layers, cache, strict=True):
        attention = layer.self_attn
        query, key, value = (
            states.unflatten(-1, (-1, attention.head_dim))
            for states in project(
                (attention.q_proj, attention.k_proj, attention.v_proj),
                x,
                dtype,
                norm=layer.input_layernorm,
            )
        )
        query, key, value = (
            states.unflatten(0, shape[:2])
            for states in (rotate(query, cosine, sine), rotate(key, cosine, sine), value)
        )
        known = new.put(keys, key), new.put(values, value)
        mixed = attend_known(query, *known, new.visible, attention.scaling)
        x = after_attention(layer, x, mixed.flatten(0, 1).flatten(1), dtype)
    return decoder.norm(x).view(shape)


def attend(query: Tensor, key: Tensor, value: Tensor, lengths: Segments, scale: float) -> Tensor:
    """Causal attention inside each record: ``[T, heads, head_dim]`` from query and (fewer heads) key and value."""
    return attend_inside(query, key, value, lengths, causal=True, scale=scale)


def attend_from(
    query: Tensor, key: Tensor, value: Tensor, lengths: Segments, rows: Tensor, scale: float
) -> Tensor:
    """As :func:`attend`, for the queries ``[k, heads, head_dim]`` of the given rows alone."""
    if takes_all_segments(query):
        # One kernel on zeros in place of the other queries, and no count that the host would wait for.
        every = query.new_zeros(len(key), *query.shape[1:]).index_copy(0, rows, query)
        return attend(every, key, value, lengths, scale)[rows]
    ends = torch.tensor(lengths).cumsum(0)
    counts = torch.searchsorted(rows.cpu(), ends).diff(prepend=torch.zeros(1, dtype=torch.int64)).tolist()
    mixed = []
    start = 0
    for q, k, v, places in zip(
        query.split(counts), key.split(lengths), value.split(lengths), rows.split(counts), strict=True
    ):
        visible = torch.arange(len(k), device=rows.device)[None] <= (places - start)[:, None]
        q, k, v = (part.transpose(0, 1)[None] for part in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, scale=scale, enable_gqa=True)
        mixed.append(out[0].transpose(0, 1))
        start += k.shape[2]
    return torch.cat(mixed)


def rotate(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions: feature ``i`` of a head ``[T, heads, head_dim]`` turns with feature ``i + head_dim / 2``."""
    return _Rotate.apply(states, cosine, sine)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return _turned(states, cosine, sine)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cosine, sine = ctx.saved_tensors
        return _turned(gradient, cosine, -sine), None, None


def _turned(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    turned = torch.empty_like(states)
    half = states.shape[-1] // 2
    first, second = states[..., :half], states[..., half:]
    torch.mul(first, cosine, out=turned[..., :half]).addcmul_(second, sine, value=-1)
    torch.mul(second, cosine, out=turned[..., half:]).addcmul_(first, sine)
    return turned
