"""Greedy answers to a batch of prompts: read without padding, answered together, each row left when it has ended.

Without constraints it gives what ``transformers``' ``generate(do_sample=False)`` gives.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fragmodel.model.constraints import Constraint, Following
from fragmodel.model.prefill import Prompts


class Candidate(NamedTuple):
    """A whole answer without the token that ends the turn, and its log-probability among valid answers."""

    tokens: tuple[int, ...]
    chance: float


class Drawn(NamedTuple):
    """An answer without the token that ends the turn, and how many of those that were drawn are this one."""

    tokens: tuple[int, ...]
    copies: int


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
    drawn: list[Drawn] = field(default_factory=list)
    """Answers that stand for all that are possible, where this one is not likely."""
    candidates: list[Candidate] = field(default_factory=list)
    """Probable answers, where they were asked for, the most probable first; this one need not be among them."""


@torch.inference_mode()
def greedy(
    prompts: Prompts,
    *,
    max_new_tokens: int,
    end_ids: Iterable[int],
    constraints: Sequence[Constraint | None] | None = None,
) -> list[Answered]:
    """The answer to each prompt, greedy among what its constraint allows.

    Args:
        prompts: As :func:`fragmodel.model.prefill.read_prompts` gives them; others may answer them afterwards.
        max_new_tokens: Longest answer; the cache of the prompts has room for it.
        end_ids: Tokens that end an answer.
        constraints: For each prompt what is valid, or None where all is.
    """
    prompts, ends = replace(prompts), set(end_ids)
    choices = [_Choice(constraint) for constraint in constraints or [None] * len(prompts.lengths)]
    rows = list(range(len(choices)))  # the answer that each row of the batch belongs to
    running = set(rows)
    for step in range(max_new_tokens):
        tokens, chances = _choose(prompts.logits, [choices[row] for row in rows])
        for row, token, chance in zip(rows, tokens, chances, strict=True):
            if row in running:
                choices[row].take(token, chance, ends)
                if choices[row].answer.stopped:
                    running.discard(row)
        if not running or step == max_new_tokens - 1:
            break
        if 2 * len(running) <= len(rows):  # ended rows are dropped when they are half: it copies the cache
            places = [place for place, row in enumerate(rows) if row in running]
            prompts.keep(places)
            rows, tokens = [rows[place] for place in places], [tokens[place] for place in places]
        prompts.step(torch.tensor(tokens, device=prompts.lengths.device))
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
    ids, found = allowed_logits(logits, following)
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


def allowed_logits(logits: Tensor, following: Sequence[Following]) -> tuple[Tensor, Tensor]:
    """What may follow each row of ``logits [n, vocabulary]``: ids and their logits ``[n, most]``, -inf behind them."""
    padded = np.full((len(following), max(len(each.ids) for each in following)), -1)
    for row, each in enumerate(following):
        padded[row, : len(each.ids)] = each.ids
    ids = torch.from_numpy(padded).to(logits.device)
    return ids, logits.gather(1, ids.clamp(min=0)).float().masked_fill(ids < 0, -torch.inf)
