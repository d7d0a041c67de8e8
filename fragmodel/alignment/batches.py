"""Which pairs make the batch of which step; the order depends on seed and epoch alone."""

from collections.abc import Sequence

import torch


def epoch_batches(
    sizes: Sequence[int], batch_size: int, seed: int, epoch: int
) -> list[tuple[int, torch.Tensor]]:
    """Batches of one epoch as (kind, indices of its pairs), for kinds that have ``sizes`` pairs.

    Each pair comes once. A batch holds pairs of one kind, as a fragment is no negative of a protein; the batches of
    a kind have at most ``batch_size`` pairs and like sizes, and the kinds take turns at random.
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    batches = []
    for kind, size in enumerate(sizes):
        order = torch.randperm(size, generator=generator)
        batches += [(kind, part) for part in order.tensor_split(-(-size // batch_size))]
    turns = torch.randperm(len(batches), generator=generator)
    return [batches[turn] for turn in turns.tolist()]
