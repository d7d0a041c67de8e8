"""A closed set of names as a tree of tokens: each name in the one way in which the tokenizer cuts it.

It takes the part of :class:`fragmodel.model.constraints.Constraint` where the probability of every name is asked for.
There a name may be written in many ways, here in one, so that the probabilities of all names add up to 1.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from fragmodel.model.constraints import Following

State = tuple[int, ...]
_NOTHING = np.empty(0, dtype=np.int64)


class NameTree:
    """The tree of answers, each a row of token ids that ends with the token that ends the turn."""

    def __init__(self, answers: Iterable[Sequence[int]]) -> None:
        rows = sorted({tuple(answer) for answer in answers})
        self._lengths = [len(row) for row in rows]
        self._ids = np.full((len(rows), max(self._lengths)), -1, dtype=np.int64)
        for number, row in enumerate(rows):
            self._ids[number, : len(row)] = row
        self._remembered: dict[State, tuple[Following, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def start(self) -> State:
        """A state is a range of rows that agree so far, and the number of tokens in which they do; () at the end."""
        return (0, len(self), 0)

    def follow(self, state: State) -> Following:
        """The tokens that may follow."""
        return self._branches(state)[0]

    def after(self, state: State, token: int) -> State:
        """The state that a token which may follow leads to."""
        following, firsts = self._branches(state)
        branch = int(np.searchsorted(following.ids, token))
        first, last, depth = int(firsts[branch]), int(firsts[branch + 1]), state[2] + 1
        return () if self._lengths[first] == depth else (first, last, depth)

    def _branches(self, state: State) -> tuple[Following, np.ndarray]:
        """The tokens in ascending order, and the row with which each begins; behind them the end of the range."""
        if state not in self._remembered:
            first, last, depth = state
            ids, starts = np.unique(self._ids[first:last, depth], return_index=True)
            self._remembered[state] = Following(ids, _NOTHING, False), np.append(first + starts, last)
        return self._remembered[state]
