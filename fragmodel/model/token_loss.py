"""Cross-entropy of a language-model head without ever holding all logits."""

from typing import Any

import torch
from torch import Tensor

IGNORED = -100  # label of a position without a target, as everywhere in transformers
CHUNK = 2**25  # logits that are held at once: 128 MiB in float32


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, ids: Tensor | None = None, rows: Tensor | None = None
) -> Tensor:
    """Sum over ``n`` of the cross-entropy of ``hidden @ weight.T`` against ``targets``, as float32.

    The gradients are computed along with the loss, a few rows at a time.

    Args:
        hidden: ``[n, dim]``, differentiated.
        weight: ``[vocabulary, dim]`` of the head, frozen, in any float dtype.
        targets: ``[n]`` int64.
        ids: ``[k]`` int64, rows of ``weight`` that are replaced by ``rows``.
        rows: ``[k, dim]``, differentiated.
    """
    return _LinearCrossEntropy.apply(hidden, weight, targets, ids, rows)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, ids: Tensor | None, rows: Tensor | None
    ) -> Tensor:
        weight = weight.to(hidden.dtype)
        new = None if rows is None else rows.to(hidden.dtype)
        loss = torch.zeros((), device=hidden.device)
        of_hidden = torch.empty_like(hidden)
        of_rows = None if new is None else torch.zeros_like(new)
        size = max(1, CHUNK // len(weight))
        for part, goal, found in zip(
            hidden.split(size), targets.split(size), of_hidden.split(size), strict=True
        ):
            logits = part @ weight.T
            if new is not None:
                logits[:, ids] = part @ new.T
            logits = logits.float()
            total = logits.logsumexp(1, keepdim=True)
            loss += (total - logits.gather(1, goal[:, None])).sum()
            if not any(ctx.needs_input_grad):
                continue
            surplus = logits.sub_(total).exp_()
            surplus.scatter_add_(1, goal[:, None], torch.full_like(total, -1))
            surplus = surplus.to(hidden.dtype)
            if new is not None:
                replaced = surplus[:, ids]
                surplus[:, ids] = 0
                of_rows.addmm_(replaced.T, part)
                torch.mm(surplus, weight, out=found)
                found.addmm_(replaced, new)
            else:
                torch.mm(surplus, weight, out=found)
        ctx.save_for_backward(of_hidden, of_rows)
        ctx.rows_dtype = None if rows is None else rows.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        of_hidden, of_rows = ctx.saved_tensors
        return (
            of_hidden * gradient.to(of_hidden.dtype),
            None,
            None,
            None,
            None if of_rows is None else (of_rows * gradient).to(ctx.rows_dtype),
        )
