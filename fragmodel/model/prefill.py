"""Prompts that have been read: what answers to them go on from, one or many."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragmodel.model.decoder_pass import append_tokens, run_decoder
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM
from fragmodel.model.packed_decoder import KeysValues, NewTokens
from fragmodel.model.token_rows import token_rows

Batch = dict[str, Tensor]


@dataclass
class Prompts:
    """A batch of prompts, and what has been said to them."""

    joined: Esm2LlamaInstructForCausalLM
    dtype: torch.dtype  # of the products
    logits: Tensor  # [n, vocabulary] of the next token
    lengths: Tensor  # [n] tokens so far
    cache: list[KeysValues]  # of each layer [n, key heads, longest + new, head_dim]

    def keep(self, places: list[int]) -> None:
        """Go on with these rows alone."""
        self.lengths = self.lengths[places]
        self.cache = [(keys[places], values[places]) for keys, values in self.cache]

    def step(self, tokens: Tensor) -> None:
        """Append a token to each row ``[n]``."""
        self.logits = self.logits_of(self.append(tokens[:, None], NewTokens.next(self.lengths))[:, 0])
        self.lengths = self.lengths + 1

    def make_room(self, slots: int) -> None:
        """Let the cache have so many slots at least."""
        room = self.cache[0][0].shape[2]
        if slots > room:
            more = max(slots - room, room // 2)
            self.cache = [
                (F.pad(keys, (0, 0, 0, more)), F.pad(values, (0, 0, 0, more))) for keys, values in self.cache
            ]

    def append(self, tokens: Tensor, new: NewTokens) -> Tensor:
        """Hidden states ``[n, m, dim]`` of more tokens ``[n, m]``, which are put into the cache."""
        x = self.joined.embed_rows(tokens, self.dtype)
        return append_tokens(self.joined.llama_decoder.model, x, new, self.cache, self.dtype)

    def logits_of(self, hidden: Tensor) -> Tensor:
        """``[n, vocabulary]`` of what follows states ``[n, dim]``."""
        return _logits(self.joined, hidden, self.dtype)


@torch.inference_mode()
def read_prompts(model: nn.Module, batches: Iterable[Batch], room: int) -> Prompts:
    """Pass packed batches (:class:`fragmodel.batching.packing.PackedCollator`) through a joined model, one by one.

    The model is in evaluation mode, with or without LoRA. ``room`` is kept in the cache for new tokens. What is held
    for each token of each prompt is its keys and values.
    """
    joined: Esm2LlamaInstructForCausalLM = (
        model.get_base_model() if hasattr(model, "get_base_model") else model
    )
    decoder = joined.llama_decoder.model
    logits, lengths, pieces = [], [], []
    for batch in batches:
        states = batch.get("protein_hidden_states")
        if states is None:
            states = joined.encode_packed(batch["protein_input_ids"], batch["protein_lengths"])
        x, dtype = joined.embed_packed(
            batch["input_ids"], batch["lengths"], states, batch["protein_lengths"], batch["position_ref"]
        )
        cache: list[KeysValues] = []
        counts = batch["lengths"].tolist()
        hidden = run_decoder(decoder, x, counts, batch["lengths"].cumsum(0) - 1, dtype, cache)
        logits.append(_logits(joined, hidden, dtype))
        lengths.append(batch["lengths"])
        pieces.append([[states.split(counts) for states in layer] for layer in cache])
    longest = max(int(part.max()) for part in lengths)
    padded = [
        tuple(
            _padded([record for batch in pieces for record in batch[number][side]], longest + room)
            for side in (0, 1)
        )
        for number in range(len(decoder.layers))
    ]
    return Prompts(joined, dtype, torch.cat(logits), torch.cat(lengths), padded)


def _padded(records: list[Tensor], size: int) -> Tensor:
    """``[n, key heads, size, head_dim]`` from ``n`` records ``[length, key heads, head_dim]``."""
    first = records[0]
    padded = first.new_zeros(len(records), first.shape[1], size, first.shape[2])
    for row, record in zip(padded, records, strict=True):
        row[:, : len(record)] = record.transpose(0, 1)
    return padded


def _logits(joined: Esm2LlamaInstructForCausalLM, hidden: Tensor, dtype: torch.dtype) -> Tensor:
    weight, ids, rows = token_rows(joined.get_output_embeddings())
    logits = F.linear(hidden.to(dtype), weight.to(dtype))
    if ids is not None and rows is not None:
        logits[:, ids] = F.linear(hidden.to(dtype), rows.to(dtype))
    return logits
