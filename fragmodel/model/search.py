"""The most probable valid answers to each prompt, by a search among what its constraint allows.

Probabilities are those of the greedy answer: of each token among the tokens that are allowed, multiplied. All valid
answers together have probability 1, however long they are, so that no correction for length is needed.

A prompt is read once. What is tried after it lies beside each other in its cache, each token seeing the prompt and the
tokens before it on its own branch: no keys or values are copied. Where one token alone may follow, it costs no step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush, heappushpop
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fragmodel.model.constraints import Constraint
from fragmodel.model.decoding import Candidate, allowed_logits
from fragmodel.model.names import NameTree
from fragmodel.model.packed_decoder import NewTokens
from fragmodel.model.prefill import Prompts

AT_ONCE = 32  # branches of a tree of names that a prompt goes on with in one step


class Branch(NamedTuple):
    """The beginning of an answer; the last of its ``tokens`` may not have been read by the model yet."""

    tokens: tuple[int, ...]
    chance: float
    state: tuple
    slots: tuple[int, ...] = ()  # of the cache, of the tokens that have been read

    def longer(self, constraint: Constraint | NameTree, token: int, chance: float) -> "Branch":
        """With a token more, and the log-probability that it then has."""
        return Branch((*self.tokens, token), chance, constraint.after(self.state, token), self.slots)


def forced(constraint: Constraint | NameTree, branch: Branch) -> Branch:
    """The branch with all that alone may follow it."""
    while branch.state and len(ids := constraint.follow(branch.state).ids) == 1:
        branch = branch.longer(constraint, int(ids[0]), branch.chance)
    return branch


@torch.inference_mode()
def most_probable(
    prompts: Prompts, constraints: Sequence[Constraint | NameTree | None], *, count: int, longest: int
) -> list[list[Candidate]]:
    """Up to ``count`` answers to each prompt, the most probable first; none where there is no constraint.

    Of a :class:`NameTree` they are the most probable of all: a branch is followed as long as it is more probable than
    the last of ``count`` whole answers. Where there are no more names than that, all have their probability. Under a
    :class:`Constraint` it is a beam search: after each token the ``count`` most probable beginnings go on, and what
    ends among them is an answer. It finds the most probable of all where ``count`` is as large as the number of
    beginnings, and the greedy answer where it is 1.

    Args:
        prompts: As :func:`fragmodel.model.prefill.read_prompts` gives them.
        constraints: What is valid for each prompt.
        count: Answers that are wanted.
        longest: Tokens of the longest answer, with the one that ends the turn.
    """
    searches = [_Search(each, count, longest) if each else None for each in constraints]
    rows = [row for row, search in enumerate(searches) if search]
    if rows:
        prompts = replace(prompts, logits=prompts.logits[rows])
        prompts.keep(rows)
        _run(prompts, [search for search in searches if search])
    return [
        sorted(search.found, key=lambda each: -each.chance)[:count] if search else [] for search in searches
    ]


@dataclass
class _Search:
    """The search for the answers to one prompt."""

    constraint: Constraint | NameTree
    count: int
    longest: int
    found: list[Candidate] = field(default_factory=list)
    _best: list[float] = field(default_factory=list)  # the ``count`` highest of what was found, a heap
    _waiting: list[tuple[float, Branch]] = field(default_factory=list)  # a heap, the most probable first

    @property
    def whole(self) -> bool:
        """Whether all branches are searched that may matter."""
        return isinstance(self.constraint, NameTree)

    @property
    def bound(self) -> float:
        """What a branch must exceed to matter."""
        return self._best[0] if len(self._best) == self.count else -np.inf

    def grow(self, branches: Sequence[Branch], ids: np.ndarray, chances: np.ndarray) -> None:
        """Let branches go on, whose next tokens ``ids [branches, most]`` have the log-probabilities ``chances``."""
        total = (np.array([branch.chance for branch in branches])[:, None] + chances).ravel()
        order = np.argsort(-total, kind="stable")
        # A branch has one way to end at most: so many are enough for ``count`` that go on.
        order = order[: np.count_nonzero(total > self.bound) if self.whole else 2 * self.count]
        gone_on = 0
        for rank, place in enumerate(order):
            if total[place] == -np.inf:
                break
            branch = branches[place // ids.shape[1]]
            longer = branch.longer(self.constraint, int(ids.flat[place]), float(total[place]))
            if not longer.state:
                if self.whole or rank < self.count:
                    self._end(longer)
            elif self.whole or gone_on < self.count:
                gone_on += 1
                self._wait(longer)

    def take(self) -> list[Branch]:
        """The branches to go on with; none when the search is over."""
        at_once = AT_ONCE if self.whole else self.count
        taken: list[Branch] = []
        while self._waiting and -self._waiting[0][0] > self.bound and len(taken) < at_once:
            taken.append(heappop(self._waiting)[1])
        return taken

    def _wait(self, branch: Branch) -> None:
        branch = forced(self.constraint, branch)
        if not branch.state:
            self._end(branch)
        elif len(branch.tokens) < self.longest:
            heappush(self._waiting, (-branch.chance, branch))

    def _end(self, branch: Branch) -> None:
        if len(branch.tokens) > self.longest:
            return
        self.found.append(Candidate(branch.tokens[:-1], branch.chance))
        (heappush if len(self._best) < self.count else heappushpop)(self._best, branch.chance)


def _run(prompts: Prompts, searches: Sequence[_Search]) -> None:
    """Search for the answers to all prompts together; those whose search is over leave when they are half."""
    rows = list(range(len(searches)))
    grown = [[Branch((), 0.0, search.constraint.start)] for search in searches]
    tree = Tree(prompts)
    logits = prompts.logits
    while True:
        _grow([searches[row] for row in rows], grown, logits)
        grown = [searches[row].take() for row in rows]
        if 2 * sum(map(bool, grown)) <= len(rows):
            places = [place for place, branches in enumerate(grown) if branches]
            if not places:
                return
            rows, grown = [rows[place] for place in places], [grown[place] for place in places]
            tree.keep(places)
        grown, logits = tree.read(grown)


def _grow(searches: Sequence[_Search], grown: Sequence[Sequence[Branch]], logits: Tensor) -> None:
    """Let all branches go on; ``logits`` has a row for each, prompt by prompt."""
    pairs = [(search, branches) for search, branches in zip(searches, grown, strict=True) if branches]
    following = [search.constraint.follow(branch.state) for search, branches in pairs for branch in branches]
    ids, found = allowed_logits(logits, following)
    tokens, chances = ids.cpu().numpy(), found.double().log_softmax(-1).cpu().numpy()
    row = 0
    for search, branches in pairs:
        own = slice(row, row + len(branches))
        search.grow(branches, tokens[own], chances[own])
        row = own.stop


class Tree:
    """The branches of all prompts in the cache, behind the longest prompt."""

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts
        self._first = self._filled = int(prompts.lengths.max())
        slots = torch.arange(self._first, device=prompts.lengths.device)
        self._seen = slots.repeat(len(prompts.lengths), 1)  # positions of what lies in the slots
        self._prompt = slots < prompts.lengths[:, None]

    def keep(self, places: list[int]) -> None:
        """Go on with these prompts alone."""
        self._prompts.keep(places)
        self._seen, self._prompt = self._seen[places], self._prompt[places]

    def read(self, grown: Sequence[Sequence[Branch]]) -> tuple[list[list[Branch]], Tensor]:
        """Read what the model has not read of the branches; gives them with their slots, and the logits behind each."""
        prompts = self._prompts
        most = max(sum(len(each.tokens) - len(each.slots) for each in branches) for branches in grown)
        tokens, depth = np.zeros((2, len(grown), most), dtype=np.int64)
        visible = np.zeros((len(grown), most, self._filled + most - self._first), dtype=bool)
        visible[:, np.arange(most), np.arange(most) + self._filled - self._first] = True  # each sees itself
        read, lasts = [], []
        for row, branches in enumerate(grown):
            slot, laid = self._filled, []
            for branch in branches:
                done = len(branch.slots)
                slots = (*branch.slots, *range(slot, slot := slot + len(branch.tokens) - done))
                for number in range(done, len(slots)):
                    place = slots[number] - self._filled
                    tokens[row, place], depth[row, place] = branch.tokens[number], number
                    visible[row, place, np.array(slots[: number + 1]) - self._first] = True
                lasts.append((row, slots[-1] - self._filled))
                laid.append(branch._replace(slots=slots))
            read.append(laid)
        ids, depths, behind = (
            torch.from_numpy(each).to(prompts.lengths.device) for each in (tokens, depth, visible)
        )
        positions = prompts.lengths[:, None] + depths
        self._seen = torch.cat([self._seen, positions], 1)
        before = self._prompt[:, None].expand(-1, most, -1)
        slots = torch.arange(self._filled, self._filled + most, device=ids.device).expand_as(ids)
        prompts.make_room(self._filled + most)
        hidden = prompts.append(ids, NewTokens(positions, slots, torch.cat([before, behind], -1), self._seen))
        self._filled += most
        chosen = torch.tensor(lasts, device=ids.device).T
        return read, prompts.logits_of(hidden[chosen[0], chosen[1]])
