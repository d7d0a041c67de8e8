"""The processes that align together; everything here also holds for one alone."""

import torch
from torch import distributed


def several() -> bool:
    """Whether there are others."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def share(count: int) -> range:
    """The neighbouring ones of ``count`` pieces of work that are this process's."""
    if not several():
        return range(count)
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    return range(count * rank // processes, count * (rank + 1) // processes)


def summed(values: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, in place."""
    if several():
        distributed.all_reduce(values)
    return values


def largest(values: torch.Tensor) -> torch.Tensor:
    """The maximum over all processes, in place."""
    if several():
        distributed.all_reduce(values, distributed.ReduceOp.MAX)
    return values
