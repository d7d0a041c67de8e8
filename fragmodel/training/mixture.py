"""Several data sets in one training run, in honoured proportions and a repeatable order."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class MixtureSampler(Sampler[int]):
    """Indices into the concatenation of data sets of the given ``sizes``, shuffled anew each epoch.

    An epoch draws as many records as there are. A data set of weight ``w`` gets a share proportional to
    ``w × size``: at equal weights each record is drawn once; at weight 2 each of its records is drawn twice
    as often as one of weight 1. Within a data set no record is drawn again before all others have been.
    The order depends on (seed, epoch) alone, so that a resumed run goes on exactly where it stopped.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int) -> None:
        self.sizes = list(sizes)
        self.seed = seed
        self.epoch = 0
        self.draws = _shares(sum(self.sizes), [w * n for w, n in zip(weights, sizes, strict=True)])

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(self.draws)

    def __iter__(self) -> Iterator[int]:
        parts = []
        offset = 0
        for number, (size, draws) in enumerate(zip(self.sizes, self.draws, strict=True)):
            parts.append(offset + self._cycle(number, size, draws))
            offset += size
        indices = torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)
        yield from indices[torch.randperm(len(indices), generator=self._generator(self.epoch, -1))].tolist()

    def _cycle(self, number: int, size: int, draws: int) -> torch.Tensor:
        """``draws`` indices of one data set, going on in its endless sequence of permutations."""
        if not draws:
            return torch.empty(0, dtype=torch.long)
        first = self.epoch * draws
        rounds = range(first // size, (first + draws - 1) // size + 1)
        endless = torch.cat([torch.randperm(size, generator=self._generator(r, number)) for r in rounds])
        return endless[first % size : first % size + draws]

    def _generator(self, round_number: int, number: int) -> torch.Generator:
        mixed = (self.seed * 1_000_003 + round_number) * 1_009 + number + 1
        return torch.Generator().manual_seed(mixed % 2**63)


def _shares(total: int, parts: Sequence[float]) -> list[int]:
    """``total`` split in proportion to ``parts``, by largest remainder."""
    whole = sum(parts)
    if not whole:
        return [0 for _ in parts]
    exact = [total * part / whole for part in parts]
    shares = [int(value) for value in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (shares[i] - exact[i], i))
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares
