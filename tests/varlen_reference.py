"""The interface of ``torch.nn.attention.varlen.varlen_attn`` by its definition, for machines without its kernel."""

import pytest
import torch
from torch import Tensor

from fragmodel.embeddings import packed_attention


class VarlenReference:
    """Callable as the kernel; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        cu_seq_q: Tensor,
        cu_seq_k: Tensor,
        max_q: int,
        max_k: int,
        *,
        scale: float | None,
        window_size: tuple[int, int],
        enable_gqa: bool,
    ) -> Tensor:
        """One softmax over all rows, where what a row may not see is masked."""
        self.calls += 1
        assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
        assert cu_seq_q[-1] == len(query) and cu_seq_k[-1] == len(key)
        assert (max_q, max_k) == (cu_seq_q.diff().max(), cu_seq_k.diff().max())
        assert enable_gqa and window_size in ((-1, -1), (-1, 0))
        row, number = torch.arange(len(query)), torch.arange(len(cu_seq_q) - 1)
        segment = number.repeat_interleave(cu_seq_q.diff())
        seen = segment[:, None] == segment[None]
        if window_size == (-1, 0):
            seen &= row[:, None] >= row[None]
        group = query.shape[1] // key.shape[1]
        key, value = (states.repeat_interleave(group, dim=1) for states in (key, value))
        scores = torch.einsum("qhd,khd->hqk", query, key) * (scale or query.shape[-1] ** -0.5)
        return torch.einsum("hqk,khd->qhd", scores.masked_fill(~seen, -torch.inf).softmax(-1), value)


def use_reference(patch: pytest.MonkeyPatch) -> VarlenReference:
    """Take the way of a CUDA device, with the reference in the kernel's place."""
    kernel = VarlenReference()
    patch.setattr(packed_attention, "varlen_attn", kernel)
    for module in ("fragmodel.embeddings.packed_attention", "fragmodel.model.packed_decoder"):
        patch.setattr(f"{module}.takes_all_segments", lambda query: True)
    return kernel
