"""Parts of a test set that are reported on their own: by fragment length and by identity to training."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from fragmodel.errors import UserError
from fragmodel.evaluation.inputs import Reference

# Single residues, short sites, short domains, domains: (first, last) residues of the fragment.
_LENGTHS = ((1, 1), (2, 20), (21, 100), (101, None))
_IDENTITIES = (0.0, 0.3, 0.5, 0.9, 1.0)

Subsets = dict[str, np.ndarray]  # name -> bool [records]


def subsets(
    references: Sequence[Reference], identities: Mapping[str, float] | None, threshold: float
) -> Subsets:
    """Named parts of the records, empty ones left out.

    Args:
        references: the records.
        identities: sequence identity (0 to 1) of each protein (uid) to its nearest training protein; ``None``
            when it is not known, which leaves these parts out. Proteins that are not listed have no relative.
        threshold: proteins below this identity are the part ``clean``.
    """
    parts: Subsets = {}
    lengths = np.array([r.fragment_length or 0 for r in references], dtype=np.float64)
    for first, last in _LENGTHS:
        label = f"{first}" if first == last else f"{first}-{last}" if last else f"{first}+"
        # Mean lengths need not be whole numbers: a bin ends where the next one starts.
        parts[f"fragment_length_{label}"] = (lengths >= first) & (lengths < (last + 1 if last else np.inf))
    if identities is not None:
        nearest = np.array([identities.get(r.uid, 0.0) for r in references])
        parts["clean"] = nearest < threshold
        for low, high in pairwise(_IDENTITIES):
            above = nearest <= high if high == 1.0 else nearest < high
            parts[f"identity_{low:g}-{high:g}"] = (nearest >= low) & above
    return {name: mask for name, mask in parts.items() if mask.any()}


def read_identities(path: Path) -> dict[str, float]:
    """Highest identity of each test protein to training, from the audit's table (`uid`, `identity`)."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    for name in ("uid", "identity"):
        if name not in table.column_names:
            raise UserError(f"{path}: column '{name}' is missing; give the leakage table of the audit")
    nearest: dict[str, float] = {}
    for uid, identity in zip(table["uid"].to_pylist(), table["identity"].to_pylist(), strict=True):
        nearest[uid] = max(nearest.get(uid, 0.0), identity or 0.0)
    return nearest
