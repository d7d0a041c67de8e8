"""Attention inside each of several segments of rows that lie one after the other without padding.

On a CUDA device it is one kernel for all segments (``torch.nn.attention.varlen``, FlashAttention: Dao et al. 2022,
arXiv:2205.14135), where that takes these numbers; elsewhere one call a segment.
"""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # a torch before it
    varlen_attn = None

_LARGEST_HEAD = 256


class Segments(list[int]):
    """Rows of each segment. Where they begin is copied to the device once, however many layers ask."""

    device: torch.device

    @cached_property
    def starts(self) -> Tensor:
        """``[segments + 1]`` int32 on :attr:`device`: the first row of each, and after the last."""
        ends = torch.tensor([0, *self], dtype=torch.int64).cumsum(0)
        return ends.to(torch.int32).to(self.device, non_blocking=True)


def attend_inside(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, *, causal: bool, scale: float | None = None
) -> Tensor:
    """Mixed values ``[T, heads, head_dim]`` of ``query``, ``key`` and ``value`` (the latter two may have fewer heads).

    A row sees the rows of its own segment; with ``causal`` those up to itself. ``scale`` of the scores is
    ``head_dim ** -0.5`` unless given.
    """
    if takes_all_segments(query):
        segments.device = query.device
        longest, window = max(segments), (-1, 0 if causal else -1)
        return varlen_attn(
            query,
            key,
            value,
            segments.starts,
            segments.starts,
            longest,
            longest,
            scale=scale,
            window_size=window,
            enable_gqa=True,
        )
    mixed = []
    for parts in zip(*(states.split(segments) for states in (query, key, value)), strict=True):
        q, k, v = (part.transpose(0, 1)[None] for part in parts)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale, enable_gqa=True)
        mixed.append(out[0].transpose(0, 1))
    return torch.cat(mixed) if len(mixed) > 1 else mixed[0]


def takes_all_segments(query: Tensor) -> bool:
    """Whether the kernel for all segments takes these numbers on their device."""
    return (
        varlen_attn is not None
        and query.is_cuda
        and torch.version.hip is None
        and query.dtype in (torch.float16, torch.bfloat16)
        and query.shape[-1] <= _LARGEST_HEAD
        and query.shape[-1] % 8 == 0
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
    )
