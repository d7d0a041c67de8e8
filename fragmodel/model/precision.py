"""In which number format this machine should multiply."""

from functools import cache

import torch
from torch import Tensor


def compute_dtype(weight: Tensor) -> torch.dtype:
    """Format of the matrix products with ``weight``: what autocast says, else what the weight is held in.

    float32 on a CPU without bfloat16 arithmetic, where products in half precision are emulated and many times
    slower: the weights stay in half, and are widened one layer at a time.
    """
    kind = weight.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    return torch.float32 if kind == "cpu" and not cpu_has_bfloat16() else dtype


@cache
def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers itself (AVX512-BF16, AMX, or Arm's bf16)."""
    return any(name.endswith("bf16") and present for name, present in torch.cpu.get_capabilities().items())
