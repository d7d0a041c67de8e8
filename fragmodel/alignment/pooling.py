"""One vector for a protein, a fragment or a text: the states of its tokens pooled, the same way on both sides."""

import torch

from fragmodel.config.section import Pooling

_SMALL = 1e-6  # below the square root, whose slope at 0 is infinite: a single token has no deviation


def pooled_width(dim: int, pooling: Pooling, segments: int) -> int:
    """Numbers in a vector that :func:`pool` makes of states of width ``dim``."""
    return dim * {"mean": 1, "mean_std": 2, "segment_means": segments}[pooling]


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: Pooling, segments: int = 1) -> torch.Tensor:
    """Vectors ``[n, width]`` (float32) of ``states [n, rows, dim]``; ``mask [n, rows]`` is True for real rows.

    Real rows come first in each item, at least one. ``mean_std`` is the readout of Prot2Text-V2
    (arXiv:2505.11194): the mean and the standard deviation of all rows, side by side. ``segment_means`` cuts the
    rows into ``segments`` consecutive parts of like length (part ``i`` of ``length`` rows is ``floor(i * length /
    segments)`` to ``ceil((i + 1) * length / segments)``, as in adaptive pooling: where rows are few, parts share
    them) and puts their means side by side.
    """
    states = states.float()
    lengths = mask.sum(1)
    if pooling == "segment_means":
        return _segment_means(states, mask, lengths, segments).flatten(1)
    weights = (mask / lengths[:, None])[..., None]
    mean = (states * weights).sum(1)
    if pooling == "mean":
        return mean
    variance = ((states - mean[:, None]).square() * weights).sum(1)
    return torch.cat([mean, (variance + _SMALL).sqrt()], dim=1)


def _segment_means(
    states: torch.Tensor, mask: torch.Tensor, lengths: torch.Tensor, segments: int
) -> torch.Tensor:
    """Means ``[n, segments, dim]``."""
    part = torch.arange(segments, device=states.device)
    first = part * lengths[:, None] // segments
    last = -(-(part + 1) * lengths[:, None] // segments)
    row = torch.arange(states.shape[1], device=states.device)
    inside = (row >= first[..., None]) & (row < last[..., None]) & mask.bool()[:, None]
    return inside.to(states.dtype) @ states / (last - first)[..., None]
