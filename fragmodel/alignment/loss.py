"""Symmetric InfoNCE (van den Oord et al. 2018, arXiv:1807.03748; symmetric as in CLIP, arXiv:2103.00020)."""

from collections.abc import Hashable, Sequence

import torch
import torch.nn.functional as F

LARGEST_SCALE = 100.0  # as in CLIP: a sharper softmax makes training unstable


def false_negatives(items: Sequence[Hashable], texts: Sequence[Hashable]) -> torch.Tensor:
    """Pairs ``[n, n]`` (bool) that are off the diagonal but true: row and column share the item or the text."""
    same = _equal(items) | _equal(texts)
    return same.fill_diagonal_(False)


def contrastive_loss(
    items: torch.Tensor, texts: torch.Tensor, log_scale: torch.Tensor, excluded: torch.Tensor
) -> torch.Tensor:
    """Mean over both directions of the cross-entropy of finding the partner.

    ``items [n, width]`` and ``texts [n, width]`` are compared by cosine, times ``exp(log_scale)`` (the inverse
    temperature, at most 100). ``excluded [n, n]`` (bool, False on the diagonal) marks pairs that are neither
    partner nor negative.
    """
    scale = log_scale.exp().clamp(max=LARGEST_SCALE)
    logits = scale * F.normalize(items.float(), dim=1) @ F.normalize(texts.float(), dim=1).T
    logits = logits.masked_fill(excluded, -torch.inf)
    partner = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, partner) + F.cross_entropy(logits.T, partner)) / 2


def _equal(values: Sequence[Hashable]) -> torch.Tensor:
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    ids = torch.tensor([numbers[value] for value in values])
    return ids[:, None] == ids[None, :]
