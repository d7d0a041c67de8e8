"""The fast forward pass of a frozen encoder: packed sequences, no padding, no language-model head.

Same weights and same formulas as ``transformers.EsmModel``; what differs is the order of the work. The rows of
all sequences of a batch lie one after the other, so that every linear layer is one large matrix product without
padding; query, key and value are one product; attention stays inside each sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import EsmModel, PreTrainedModel

from fragmodel.embeddings import alphabet
from fragmodel.embeddings.encoders import resolve_layer
from fragmodel.embeddings.kinds import token_ids
from fragmodel.embeddings.packed_attention import Segments, attend_inside
from fragmodel.embeddings.padded import PaddedEncoder

_MASK_RATIO = 0.15 * 0.8  # part of the residues that ESM's training replaced by <mask>


@dataclass(frozen=True, slots=True)
class _Packing:
    """How the sequences of a batch lie in the rows ``[T]``."""

    lengths: Segments  # rows of each sequence, BOS and EOS included
    positions: Tensor  # [T] place of a row within its sequence, from 0


def encoder_pass(model: PreTrainedModel, layer: int = -1) -> "PackedEncoder | PaddedEncoder":
    """What gives the states of ``layer`` of an encoder of any kind."""
    return (PackedEncoder if model.config.model_type == "esm" else PaddedEncoder)(model, layer)


class PackedEncoder:
    """States of one layer of ``model`` for whole sequences.

    ``layer`` counts from 0 (token embeddings) to the last, which is taken after its layer norm; negative numbers
    count from the end. The model's weights are used, not copied, except the fused query-key-value matrices.
    """

    def __init__(self, model: EsmModel, layer: int = -1) -> None:
        self.model = model
        self.config = model.config
        self.layer = resolve_layer(model.config.num_hidden_layers, layer)
        self.device, self.dtype = model.device, model.dtype
        heads = self.config.num_attention_heads
        self._fused = [_fuse(block.attention.self, heads) for block in model.encoder.layer[: self.layer]]

    @torch.inference_mode()
    def __call__(self, sequences: Sequence[str]) -> list[Tensor]:
        """States ``[residues + 2, dim]`` of each sequence, in the model's dtype and on its device."""
        packing = self._pack([len(sequence) + 2 for sequence in sequences])
        x = self._embed(sequences, packing)
        rotation = self._rotation(packing)
        for block, (weight, bias) in zip(self.model.encoder.layer, self._fused, strict=False):
            attention = block.attention
            qkv = F.linear(attention.LayerNorm(x), weight, bias)
            x += attention.output.dense(self._attend(qkv, rotation, packing))
            x += block.output.dense(F.gelu(block.intermediate.dense(block.LayerNorm(x))))
        if self.layer == self.config.num_hidden_layers:
            x = self.model.encoder.emb_layer_norm_after(x)
        return list(x.split(packing.lengths))

    def _pack(self, lengths: list[int]) -> _Packing:
        positions = torch.cat([torch.arange(length) for length in lengths])
        return _Packing(Segments(lengths), positions.to(self.device))

    def _embed(self, sequences: Sequence[str], packing: _Packing) -> Tensor:
        tokens = torch.cat([token_ids(sequence, self.config) for sequence in sequences]).to(self.device)
        embeddings = self.model.embeddings
        x = embeddings.word_embeddings(tokens)
        if embeddings.token_dropout:
            x = x * (1 - _MASK_RATIO)  # no residue is masked here
        if self.config.position_embedding_type == "absolute":
            x = x + embeddings.position_embeddings(packing.positions + alphabet.PAD + 1)
        if embeddings.layer_norm is not None:
            x = embeddings.layer_norm(x)
        return x

    def _rotation(self, packing: _Packing) -> Tensor | None:
        """Rotary turns ``[T, 1, 1, head_dim / 2]`` of each row, as complex numbers of magnitude 1."""
        rotary = self.model.rotary_embeddings
        if rotary is None:
            return None
        angles = packing.positions[:, None].float() * rotary.inv_freq.float()
        return torch.polar(torch.ones_like(angles), angles)[:, None, None]

    def _attend(self, qkv: Tensor, rotation: Tensor | None, packing: _Packing) -> Tensor:
        """Self-attention of every sequence: fused projections ``[T, 3 * dim]`` to mixed values ``[T, dim]``."""
        heads = self.config.num_attention_heads
        qkv = qkv.view(len(qkv), 3, heads, -1)
        if rotation is not None:
            _rotate(qkv[:, :2], rotation)
        return attend_inside(*qkv.unbind(1), packing.lengths, causal=False).flatten(1)


def _rotate(pairs: Tensor, rotation: Tensor) -> None:
    """Turn query and key ``[T, 2, heads, head_dim]`` in place; neighbouring numbers are one complex number."""
    exact = pairs.float()  # the same memory when it is float32 already
    torch.view_as_complex(exact.unflatten(-1, (-1, 2))).mul_(rotation)
    if exact is not pairs:
        pairs.copy_(exact)


def _fuse(attention: nn.Module, heads: int) -> tuple[Tensor, Tensor]:
    """Weight ``[3 * dim, dim]`` and bias of query, key and value as one projection.

    ESM turns feature ``i`` of a head together with feature ``i + head_dim / 2``. Here the rows of query and key
    are put in the order ``0, h, 1, h + 1, …``, so that the two are neighbours and a turn is one complex product;
    their dot products stay the same.
    """

    def paired(parameter: Tensor) -> Tensor:
        return parameter.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)

    query, key, value = attention.query, attention.key, attention.value
    weight = torch.cat([paired(query.weight), paired(key.weight), value.weight])
    return weight, torch.cat([paired(query.bias), paired(key.bias), value.bias])
