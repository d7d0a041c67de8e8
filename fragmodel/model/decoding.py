"""Greedy answers to a batch of prompts: read without padding, answered together, each row left when it has ended.

Gives what ``transformers``' ``generate(do_sample=False)`` gives.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragmodel.model.decoder_pass import append_tokens, run_decoder
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM
from fragmodel.model.packed_decoder import KeysValues
from fragmodel.model.token_rows import token_rows

Batch = dict[str, Tensor]


@torch.inference_mode()
def greedy(
    model: nn.Module, prompts: Iterable[Batch], *, max_new_tokens: int, end_ids: Iterable[int]
) -> list[list[int]]:
    """New tokens of each prompt, without the end-of-turn token; a whole ``max_new_tokens`` where none came.

    Args:
        model: The joined model in evaluation mode, with or without LoRA.
        prompts: Packed batches (:class:`fragmodel.batching.packing.PackedCollator`) that are read one after the other
            and answered together. What is held for each token of each prompt is its keys and values.
        max_new_tokens: Longest answer.
        end_ids: Tokens that end an answer.
    """
    joined: Esm2LlamaInstructForCausalLM = (
        model.get_base_model() if hasattr(model, "get_base_model") else model
    )
    decoding = _read(joined, prompts, max_new_tokens)
    ends = set(end_ids)
    answers: list[list[int]] = [[] for _ in decoding.lengths]
    rows = list(range(len(answers)))  # the answer that each row of the batch belongs to
    running = set(rows)
    for step in range(max_new_tokens):
        tokens = decoding.logits.argmax(-1).tolist()
        for row, token in zip(rows, tokens, strict=True):
            if row in running:
                if token in ends:
                    running.discard(row)
                else:
                    answers[row].append(token)
        if not running or step == max_new_tokens - 1:
            break
        if 2 * len(running) <= len(rows):  # ended rows are dropped when they are half: it copies the cache
            places = [place for place, row in enumerate(rows) if row in running]
            decoding.keep(places)
            rows, tokens = [rows[place] for place in places], [tokens[place] for place in places]
        decoding.step(torch.tensor(tokens, device=decoding.lengths.device))
    return answers


@dataclass
class _Decoding:
    """A batch of answers in the making."""

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
        """Append a token to each row."""
        decoder, dtype = self.joined.llama_decoder.model, self.dtype
        x = self.joined.embed_rows(tokens, dtype)
        hidden = append_tokens(decoder, x, self.lengths, self.cache, dtype)
        self.lengths = self.lengths + 1
        self.logits = _logits(self.joined, hidden, dtype)


def _read(joined: Esm2LlamaInstructForCausalLM, prompts: Iterable[Batch], room: int) -> _Decoding:
    """Pass the prompts through the model; ``room`` is kept in the cache for new tokens."""
    decoder = joined.llama_decoder.model
    logits, lengths, pieces = [], [], []
    for batch in prompts:
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
    return _Decoding(joined, dtype, torch.cat(logits), torch.cat(lengths), padded)


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
