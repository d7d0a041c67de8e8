"""What all benchmarks share: the row of a comparison, and a process's own peak memory."""

import re
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
