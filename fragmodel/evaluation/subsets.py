"""Parts of a test set that are reported on their own: by fragment length and by identity to training."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from fragmodel.errors import UserError
from fragmodel.evaluation.references import Key, Reference
from fragmodel.tables import LEAKAGE, iter_columns

# Single residues, short sites, short domains, domains: (first, last) residues of the fragment.
_LENGTHS = ((1, 1), (2, 20), (21, 100), (101, None))
_IDENTITIES = (0.0, 0.3, 0.5, 0.9, 1.0)

Subsets = dict[str, np.ndarray]  # name -> bool [records]


def subsets(
    references: Sequence[Reference], identities: Mapping[Key, float] | None, threshold: float
) -> Subsets:
    """Named parts of the records, empty ones left out.

    Args:
        references: the records.
        identities: sequence identity (0 to 1) of each record to its nearest training sequence; ``None`` when it
            is not known, which leaves these parts out.
        threshold: records below this identity are the part ``clean``.

    Raises:
        UserError: a record has no identity.
    """
    parts: Subsets = {}
    lengths = np.array([r.fragment_length or 0 for r in references], dtype=np.float64)
    for first, last in _LENGTHS:
        label = f"{first}" if first == last else f"{first}-{last}" if last else f"{first}+"
        # Mean lengths need not be whole numbers: a bin ends where the next one starts.
        parts[f"fragment_length_{label}"] = (lengths >= first) & (lengths < (last + 1 if last else np.inf))
    if identities is not None:
        if unknown := [r.key.record_id for r in references if r.key not in identities]:
            raise UserError(f"record '{unknown[0]}' is not in the leakage table; audit the same records")
        nearest = np.array([identities[r.key] for r in references])
        parts["clean"] = nearest < threshold
        for low, high in pairwise(_IDENTITIES):
            above = nearest <= high if high == 1.0 else nearest < high
            parts[f"identity_{low:g}-{high:g}"] = (nearest >= low) & above
    return {name: mask for name, mask in parts.items() if mask.any()}


def clean(
    records: Mapping[Key, Reference], identities: Mapping[Key, float] | None, threshold: float
) -> dict[Key, Reference]:
    """The records below ``threshold``. Raises :class:`UserError` without identities, and when none is left."""
    if identities is None:
        raise UserError("to score clean records only, give the audit's leakage table")
    kept = {key: record for key, record in records.items() if identities.get(key, 1.0) < threshold}
    if not kept:
        raise UserError(
            f"every test record has a relative of {threshold:.0%} identity in training: none is left to score; "
            "set evaluation.clean_only to false, or leave the data set out"
        )
    return kept


def read_identities(path: Path) -> dict[Key, float]:
    """Highest sequence identity of each test record to training, from a LEAKAGE table."""
    rows = iter_columns(path, LEAKAGE, [*Key._fields, "identity"])
    return {Key(*key): identity for *key, identity in rows}
