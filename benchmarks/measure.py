"""What all benchmarks share: the row of a comparison, a process's own peak memory, the rate of matrix products."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def row(name: str, ours: float, peer: float, unit: str, *, less: bool = False) -> dict[str, Any]:
    """A comparison as the benchmarks print and store it; ``ratio`` above 1: ours is better (``less``: less is)."""
    ratio = peer / ours if less else ours / peer
    return {
        "name": name,
        "ours": float(f"{ours:.5g}"),
        "peer": float(f"{peer:.5g}"),
        "unit": unit,
        "ratio": round(ratio, 3),
    }


def peak_memory() -> float:
    """Most MiB that this process held at once, mapped files included.

    Not ``getrusage``: its maximum goes on from the process that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def matmul_rate(
    dim: int, dtype: str, *, device: str = "cpu", clock: Callable[[], float] = time.perf_counter
) -> float:
    """Best FLOP/s of a feed-forward product ``[rows, dim] @ [dim, 4 * dim]``."""
    import torch

    count, times = (4096, 1) if device == "cpu" else (32_768, 10)  # a GPU must be kept busy to show its rate
    rows, weight = (
        torch.randn(size, dim, device=device, dtype=getattr(torch, dtype)) for size in (count, 4 * dim)
    )
    best = float("inf")
    with torch.inference_mode():
        for _ in range(20):
            started = clock()
            for _ in range(times):
                product = torch.nn.functional.linear(rows, weight)
            product[0, 0].item()  # waits for the device
            best = min(best, clock() - started)
    return times * 2 * count * dim * 4 * dim / best
