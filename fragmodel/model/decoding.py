"""Greedy answers to a batch of prompts: read without padding, answered together, each row left when it has ended.

Without constraints it gives what ``transformers``' ``generate(do_sample=False)`` gives.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragmodel.model.constraints import Constraint
from fragmodel.model.decoder_pass import append_tokens, run_decoder
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM
from fragmodel.model.packed_decoder import KeysValues
from fragmodel.model.token_rows import token_rows

Batch = dict[str, Tensor]


@dataclass(slots=True)
class Answered:
    """A greedy answer: its tokens without the one that ends the turn, and how probable each was, that one included.

    Under a constraint probabilities are those among the tokens that it allows.
    """

    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    stopped: bool = False
    """Whether it ended by itself; else it was cut, a constrained one back to where it was valid."""
    presence: float | None = None
    """How probable it is that there is something to find, where the answer may be that there is nothing."""


@torch.inference_mode()
def greedy(
    model: nn.Module,
    prompts: Iterable[Batch],
    *,
    max_new_tokens: int,
    end_ids: Iterable[int],
    constraints: Sequence[Constraint | None] | None = None,
) -> list[Answered]:
    """The answer to each prompt, greedy among what its constraint allows.

    Args:
        model: The joined model in evaluation mode, with or without LoRA.
        prompts: Packed batches (:class:`fragmodel.batching.packing.PackedCollator`) that are read one after the other
            and answered together. What is held for each token of each prompt is its keys and values.
        max_new_tokens: Longest answer.
        end_ids: Tokens that end an answer.
        constraints: For each prompt what is valid, or None where all is.
    """
    joined: Esm2LlamaInstructForCausalLM = (
        model.get_base_model() if hasattr(model, "get_base_model") else model
    )
    decoding = _read(joined, prompts, max_new_tokens)
    ends = set(end_ids)
    choices = [_Choice(constraint) for constraint in constraints or [None] * len(decoding.lengths)]
    rows = list(range(len(choices)))  # the answer that each row of the batch belongs to
    running = set(rows)
    for step in range(max_new_tokens):
        tokens, chances = _choose(decoding.logits, [choices[row] for row in rows])
        for row, token, chance in zip(rows, tokens, chances, strict=True):
            if row in running:
                choices[row].take(token, chance, ends)
                if choices[row].answer.stopped:
                    running.discard(row)
        if not running or step == max_new_tokens - 1:
            break
        if 2 * len(running) <= len(rows):  # ended rows are dropped when they are half: it copies the cache
            places = [place for place, row in enumerate(rows) if row in running]
            decoding.keep(places)
            rows, tokens = [rows[place] for place in places], [tokens[place] for place in places]
        decoding.step(torch.tensor(tokens, device=decoding.lengths.device))
    return [choice.result() for choice in choices]


class _Choice:
    """An answer in the making, and where it is in its automaton."""

    def __init__(self, constraint: Constraint | None) -> None:
        self.constraint, self.answer = constraint, Answered()
        self.state = constraint.start if constraint else None
        self.following = constraint.follow(constraint.start) if constraint else None
        self._valid = 0  # tokens of the longest valid answer so far

    def take(self, token: int, chance: float, ends: Container[int]) -> None:
        """Add the token that was chosen."""
        self.answer.log_probabilities.append(chance)
        if token in ends:
            self.answer.stopped = True
            return
        self.answer.tokens.append(token)
        if self.constraint and self.state:
            self.state = self.constraint.after(self.state, token)
            self.following = self.constraint.follow(self.state)
            if self.following.may_end:
                self._valid = len(self.answer.tokens)

    def result(self) -> Answered:
        """The answer; one that was cut within a place or a name loses what it began."""
        if self.constraint and not self.answer.stopped:
            del self.answer.tokens[self._valid :], self.answer.log_probabilities[self._valid :]
        return self.answer


def _choose(logits: Tensor, choices: Sequence[_Choice]) -> tuple[list[int], list[float]]:
    """The best token of each row ``[n, vocabulary]`` among those it may take, and its log-probability among them."""
    bound = [row for row, choice in enumerate(choices) if choice.following]
    if not bound:
        return _best(logits.float())
    if len(bound) == len(choices):
        return _best_allowed(logits, choices)
    tokens, chances = _best(logits.float())
    some = _best_allowed(logits[bound], [choices[row] for row in bound])
    for row, token, chance in zip(bound, *some, strict=True):
        tokens[row], chances[row] = token, chance
    return tokens, chances


def _best(logits: Tensor) -> tuple[list[int], list[float]]:
    best, tokens = logits.max(-1)
    return tokens.tolist(), (best - logits.logsumexp(-1)).tolist()


def _best_allowed(logits: Tensor, choices: Sequence[_Choice]) -> tuple[list[int], list[float]]:
    """As :func:`_choose` where each row has a constraint. Also notes how probable it is that there is something."""
    following = [choice.following for choice in choices if choice.following]
    padded = np.full((len(following), max(len(each.ids) for each in following)), -1)
    for row, each in enumerate(following):
        padded[row, : len(each.ids)] = each.ids
    ids = torch.from_numpy(padded).to(logits.device)
    found = logits.gather(1, ids.clamp(min=0)).float().masked_fill(ids < 0, -torch.inf)
    best, chosen = found.max(-1)
    everything = found.logsumexp(-1)
    tokens = ids.gather(1, chosen[:, None])[:, 0].tolist()
    for row, (choice, each) in enumerate(zip(choices, following, strict=True)):
        if (
            len(each.silent) and not choice.answer.log_probabilities
        ):  # the first token, where "none" is an answer
            nothing = found[row, torch.from_numpy(each.silent).to(logits.device)].logsumexp(-1)
            choice.answer.presence = 1 - (nothing - everything[row]).exp().item()
    return tokens, (best - everything).tolist()


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
