"""Answers that stand for all that a model holds possible, in proportion to their probabilities.

Copies of an answer are dealt token by token: the copies of a beginning go to what may follow it by systematic sampling,
so that each token has its probability's share, rounded (Carpenter, Clifford & Fearnhead 1999, IEE Proc. Radar Sonar
Navig. 146:2). Nothing is left to chance: the same prompt gives the same answers.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from fragmodel.model.constraints import Constraint
from fragmodel.model.decoding import Drawn, allowed_logits
from fragmodel.model.prefill import Prompts
from fragmodel.model.search import Branch, Tree, forced

_Copies = list[tuple[Branch, int]]  # beginnings of answers to a prompt, and how many there are of each


@torch.inference_mode()
def draw(
    prompts: Prompts, constraints: Sequence[Constraint | None], *, copies: int, longest: int
) -> list[list[Drawn]]:
    """``copies`` valid answers to each prompt, equal ones as one; none where there is no constraint.

    Answers of more than ``longest`` tokens, with the one that ends the turn, are left out. ``prompts`` is as
    :func:`fragmodel.model.prefill.read_prompts` gives it.
    """
    drawn: list[list[Drawn]] = [[] for _ in constraints]
    asked = [(row, constraint) for row, constraint in enumerate(constraints) if constraint]
    if not asked:
        return drawn
    rows = [row for row, _ in asked]
    prompts = replace(prompts, logits=prompts.logits[rows])
    prompts.keep(rows)
    tree, logits = Tree(prompts), prompts.logits
    growing: list[_Copies] = [[(Branch((), 0.0, constraint.start), copies)] for _, constraint in asked]
    while True:
        following = [
            constraint.follow(branch.state)
            for (_, constraint), branches in zip(asked, growing, strict=True)
            for branch, _ in branches
        ]
        ids, found = allowed_logits(logits, following)
        tokens, chances = ids.cpu().numpy(), found.double().softmax(-1).cpu().numpy()
        nexts = iter(zip(tokens, chances, strict=True))
        for place, (row, constraint) in enumerate(asked):
            longer = [each for branch in growing[place] for each in _dealt(constraint, branch, *next(nexts))]
            drawn[row] += [
                Drawn(b.tokens[:-1], n) for b, n in longer if not b.state and len(b.tokens) <= longest
            ]
            growing[place] = [(b, n) for b, n in longer if b.state and len(b.tokens) < longest]
        if not any(growing):
            return drawn
        if 2 * sum(map(bool, growing)) <= len(asked):  # prompts that are done leave when they are half
            places = [place for place, branches in enumerate(growing) if branches]
            asked, growing = [asked[place] for place in places], [growing[place] for place in places]
            tree.keep(places)
        read, logits = tree.read([[branch for branch, _ in branches] for branches in growing])
        growing = [
            [(branch, n) for branch, (_, n) in zip(laid, branches, strict=True)]
            for laid, branches in zip(read, growing, strict=True)
        ]


def shares(chances: np.ndarray, copies: int) -> np.ndarray:
    """How many of so many copies each of ``chances`` ([n], their sum 1) has: the quantiles (k + 1/2) / copies in it."""
    ends = np.floor(copies * np.cumsum(chances) + 0.5)
    ends[-1] = copies
    return np.diff(ends, prepend=0).astype(int)


def _dealt(
    constraint: Constraint, copies: tuple[Branch, int], tokens: np.ndarray, chances: np.ndarray
) -> _Copies:
    branch, number = copies
    given = shares(chances[tokens >= 0], number)
    return [
        (forced(constraint, branch.longer(constraint, int(tokens[place]), branch.chance)), int(given[place]))
        for place in np.flatnonzero(given)
    ]
