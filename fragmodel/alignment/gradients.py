"""Gradients of a batch that is larger than memory and spread over processes.

The loss needs the vectors of the whole batch at once, but not the activations that they were made from. So the
vectors are made first without a graph, the loss gives the gradient of each vector, and each chunk then runs again
with a graph to carry its rows of that gradient into the weights (GradCache, Gao et al. 2021, arXiv:2101.06983). A
second run must give the same vectors, so the modules may hold no dropout; the adapters hold none.

Over several processes each makes its own rows; all see all rows, compute the same loss, and sum the gradients of
the weights. That is the gradient of one process with the joint batch: every negative counts, with its gradient.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext

import torch
from torch import distributed

from fragmodel.alignment.processes import several, summed


def accumulate_gradients(
    chunks: Sequence[torch.Tensor],
    encode: Callable[[torch.Tensor], torch.Tensor],
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    rows: int,
    width: int,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Add to ``.grad`` this process's part of the gradient of the batch's loss; returns the loss, the same everywhere.

    Args:
        chunks: this process's rows of the batch (int64), in pieces whose activations fit into memory.
        encode: from the row numbers of a piece to its vectors ``[piece, width]``.
        loss_of: from all vectors ``[rows, width]`` (float32) to the loss. What it depends on beside them (the
            temperature) gets its whole gradient in every process.
        rows: rows of the batch over all processes.
        width: numbers in a vector.
        device: where the vectors lie.

    A single chunk runs once: its graph is kept.
    """
    once = len(chunks) == 1
    vectors = torch.zeros(rows, width, device=device)
    made = []
    for chunk in chunks:
        with nullcontext() if once else torch.no_grad():
            made.append(encode(chunk))
        vectors[chunk.to(device)] = made[-1].detach().float()
    summed(vectors)  # each row has one process that filled it
    vectors.requires_grad_()
    loss = loss_of(vectors)
    loss.backward()
    for chunk, kept in zip(chunks, made, strict=True):
        again = kept if once else encode(chunk)
        again.backward(vectors.grad[chunk.to(device)].to(again.dtype))
    return loss.detach()


def sum_over_processes(weights: Iterable[torch.nn.Parameter], shared: Iterable[torch.nn.Parameter]) -> None:
    """Sum the gradients of ``weights`` over all processes; average those of ``shared``, which each has in full.

    Every process must call this with the same parameters, whether its rows reached them or not.
    """
    if not several():
        return
    for group, divisor in ((weights, 1), (shared, distributed.get_world_size())):
        for parameter in group:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= divisor
