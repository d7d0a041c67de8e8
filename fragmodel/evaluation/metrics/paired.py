"""Is one system better than another on the same records? The one test behind every such claim.

Good 2005, *Permutation, Parametric and Bootstrap Tests of Hypotheses*; Phipson & Smyth 2010; Holm 1979.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fragmodel.evaluation.metrics.bootstrap import (
    FEWEST_PROTEINS,
    effective_number,
    interval,
    protein_codes,
)

SIGNIFICANCE = 0.05
"""A difference whose p-value, corrected for the number of tests, lies below this is called clear."""
PERMUTATIONS = 10_000
_CELLS = 10_000_000  # signs held at once


class Paired(NamedTuple):
    """Means of two systems on the same records; ``difference`` is b - a.

    Its 95 % interval is None with too few proteins, or without variation; so is ``p`` with too few.
    """

    records: int
    proteins: int
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    p: float | None


def paired(
    a: np.ndarray, b: np.ndarray, proteins: Sequence[str], *, samples: int = PERMUTATIONS, seed: int = 1
) -> Paired:
    """Compare scores ``a`` and ``b`` ([records], at least one) of records of ``proteins``.

    The interval is Student's, with the standard error of a mean of clustered records (linearised as that of a ratio).
    """
    codes, difference = protein_codes(proteins), float((b - a).mean())
    sizes = np.bincount(codes).astype(np.float64)
    number, p, bounds = len(sizes), None, None
    if number >= FEWEST_PROTEINS:
        p = permutation_p(b - a, proteins, samples=samples, seed=seed)
        residuals = np.bincount(codes, weights=b - a) - difference * sizes
        effective = effective_number(sizes)
        error = np.sqrt((residuals**2).sum() * effective / max(effective - 1, 1e-9)) / sizes.sum()
        bounds = interval(difference, float(error), effective, lowest=None)
    low, high = bounds or (None, None)
    return Paired(len(a), number, float(a.mean()), float(b.mean()), difference, low, high, p)


def permutation_p(differences: np.ndarray, proteins: Sequence[str], *, samples: int, seed: int) -> float:
    """Two-sided p-value of the mean of paired ``differences`` ([records]), with signs flipped protein by
    protein.

    All arrangements are counted where there are at most ``samples``. Else they are drawn, and the observed one counts
    as one of them, so that p is never 0.
    """
    sums = np.bincount(protein_codes(proteins), weights=differences)
    total = sums.sum()
    # The tolerance makes ties of equal arrangements, whatever the order of the additions.
    limit = abs(total) - 1e-9
    if len(sums) <= np.log2(samples):
        flipped = np.zeros(1)  # sums of all subsets: what is flipped
        for value in sums:
            flipped = np.concatenate([flipped, flipped + value])
        return float((np.abs(total - 2 * flipped) >= limit).mean())
    rng = np.random.default_rng(seed)
    extreme, block = 0, max(1, _CELLS // len(sums))
    for first in range(0, samples, block):
        flips = rng.integers(0, 2, size=(min(block, samples - first), len(sums)), dtype=np.int8)
        extreme += int((np.abs(total - 2 * (flips @ sums)) >= limit).sum())
    return (1 + extreme) / (1 + samples)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, as Holm (1979) does step by step."""
    corrected = [0.0] * len(values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda index: values[index])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = largest
    return corrected
