"""Parts of a test set that are reported on their own: by fragment length, evidence, and identity to training."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fragmodel.errors import UserError
from fragmodel.evaluation.references import Key, Reference
from fragmodel.evidence.block import suggestions
from fragmodel.tables import LEAKAGE, iter_columns

# Single residues, short sites, short domains, domains: (first, last) residues of the fragment.
_LENGTHS = ((1, 1), (2, 20), (21, 100), (101, None))
_IDENTITIES = (0.0, 0.3, 0.5, 0.9, 1.0)


class Identity(NamedTuple):
    """Highest sequence identity (0 to 1) to training, as the audit found it."""

    protein: float
    fragment: float | None = None
    """Of the fragments that the record asks about; ``None`` where it asks about none."""

    def below(self, threshold: float) -> bool:
        """Whether the record is clean: by its protein and by its fragment."""
        return max(self.protein, self.fragment or 0.0) < threshold


Subsets = dict[str, np.ndarray]  # name -> bool [records]


def subsets(
    references: Sequence[Reference],
    identities: Mapping[Key, Identity] | None,
    threshold: float,
    questions: Sequence[str] = (),
) -> Subsets:
    """Named parts of the records, empty ones left out.

    Args:
        references: the records.
        identities: of each record; ``None`` when they are not known, which leaves these parts out.
        threshold: records below this identity, by protein and by fragment, are the part ``clean``.
        questions: what the model was asked about each; parts by evidence where there is any.

    Raises:
        UserError: a record has no identity.
    """
    parts: Subsets = {}
    lengths = np.array([r.fragment_length or 0 for r in references], dtype=np.float64)
    for first, last in _LENGTHS:
        label = f"{first}" if first == last else f"{first}-{last}" if last else f"{first}+"
        # Mean lengths need not be whole numbers: a bin ends where the next one starts.
        parts[f"fragment_length_{label}"] = (lengths >= first) & (lengths < (last + 1 if last else np.inf))
    helped = np.array([bool(suggestions(question)) for question in questions], dtype=bool)
    if helped.any():
        parts |= {"evidence_some": helped, "evidence_none": ~helped}
    if identities is not None:
        if unknown := [r.key.record_id for r in references if r.key not in identities]:
            raise UserError(f"record '{unknown[0]}' is not in the leakage table; audit the same records")
        found = [identities[r.key] for r in references]
        parts["clean"] = np.array([identity.below(threshold) for identity in found])
        parts |= _by_identity("identity", [identity.protein for identity in found])
        parts |= _by_identity("fragment_identity", [identity.fragment for identity in found])
    return {name: mask for name, mask in parts.items() if mask.any()}


def _by_identity(prefix: str, identities: Sequence[float | None]) -> Subsets:
    nearest = np.array([np.nan if identity is None else identity for identity in identities])
    return {
        f"{prefix}_{low:g}-{high:g}": (nearest >= low) & (nearest <= high if high == 1.0 else nearest < high)
        for low, high in pairwise(_IDENTITIES)
    }


def clean(
    records: Mapping[Key, Reference], identities: Mapping[Key, Identity] | None, threshold: float
) -> dict[Key, Reference]:
    """The records clean at ``threshold``. Raises :class:`UserError` without identities, and when none is left."""
    if identities is None:
        raise UserError("to score clean records only, give the audit's leakage table")
    kept = {
        key: record
        for key, record in records.items()
        if key in identities and identities[key].below(threshold)
    }
    if not kept:
        raise UserError(
            f"every test record has a relative of {threshold:.0%} identity in training, by protein or by fragment: "
            "none is left to score; set evaluation.clean_only to false, or leave the data set out"
        )
    return kept


def read_identities(path: Path) -> dict[Key, Identity]:
    """Identities of each test record to training, from a LEAKAGE table."""
    rows = iter_columns(path, LEAKAGE, [*Key._fields, "identity", "fragment_identity"])
    return {Key(*key): Identity(protein, fragment) for *key, protein, fragment in rows}
