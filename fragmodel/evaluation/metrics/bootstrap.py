"""95 % intervals of metrics, from a bootstrap over proteins.

Records of one protein are not independent, so whole proteins are drawn with replacement (a cluster bootstrap:
Davison & Hinkley 1997, *Bootstrap Methods and their Application*, section 3.8). A resample is a row of
weights: how often each record was drawn. Metrics are functions of weighted sums, so that all resamples are
computed at once. The resamples give a metric's standard error; percentiles of them are too narrow for few proteins,
and of no width where all answers are right or all are wrong, so the interval is Wilson's, see :func:`interval`.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.stats import t as student

from fragmodel.metric_names import metric

Weights = np.ndarray  # [resamples, records], float64
Values = dict[str, np.ndarray]  # metric -> [resamples]
Estimate = float | dict[str, float]  # a value, or {"value", "low", "high"}

FEWEST_PROTEINS = 10
"""Of fewer proteins nothing is said beyond the number itself: no interval, and no difference is called clear."""

_CELLS = 10_000_000  # weights held at once
_LOOKED_AT = 200  # proteins by which the effective number is estimated


def resamples(
    proteins: Sequence[str], samples: int, seed: int, mask: np.ndarray | None = None
) -> Iterator[Weights]:
    """Weights of ``samples`` resamples, in blocks; ``proteins`` names the protein of each record.

    Drawn are the proteins of the records in ``mask`` (bool [records]; all by default); other records weigh 0.
    """
    kept = np.ones(len(proteins), dtype=bool) if mask is None else mask
    if not kept.any():
        return
    codes = protein_codes(np.asarray(proteins, dtype=object)[kept])
    number = codes.max() + 1
    rng = np.random.default_rng(seed)
    chances = np.full(number, 1 / number)
    block = max(1, _CELLS // len(kept))
    for first in range(0, samples, block):
        draws = rng.multinomial(number, chances, size=min(block, samples - first))
        weights = np.zeros((len(draws), len(kept)))
        weights[:, kept] = draws[:, codes]
        yield weights


def protein_codes(proteins: Sequence[str]) -> np.ndarray:
    """A number for each protein, from 0 in the order of their names; int64 [records]."""
    return np.unique(np.asarray(proteins, dtype=object).astype(str), return_inverse=True)[1]


def estimate(
    values: Callable[[Weights], Values],
    proteins: Sequence[str],
    *,
    samples: int,
    seed: int,
    mask: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Metrics of the records in ``mask`` (bool [records]; all by default), with 95 % intervals where there are any.

    ``values`` maps weights to metrics; their names tell the bounds. A metric is ``{"value", "low", "high"}``, or a
    number: with ``samples=0``, below :data:`FEWEST_PROTEINS` proteins for which it is defined, and where it does not
    vary. Metrics that are undefined (nan) are left out; resamples in which a metric is undefined are left out of its
    interval.
    """
    kept = np.ones(len(proteins), dtype=bool) if mask is None else mask
    whole = values(kept[None].astype(np.float64))
    points = {name: float(value[0]) for name, value in whole.items() if np.isfinite(value[0])}
    codes = protein_codes(proteins)
    if not samples or len(np.unique(codes[kept])) < FEWEST_PROTEINS:
        return {name: _rounded(value) for name, value in points.items()}
    effective = _effective_proteins(values, codes, kept)
    blocks = [values(weights) for weights in resamples(proteins, samples, seed, kept)]
    result: dict[str, Estimate] = {}
    for name, value in points.items():
        drawn = np.concatenate([block[name] for block in blocks])
        drawn, number = drawn[np.isfinite(drawn)], effective[name]
        # A resample of n proteins varies less than n new ones by this factor.
        error = float(drawn.std() * np.sqrt(number / (number - 1))) if number > 1 else np.nan
        own = metric(name)
        bounds = interval(value, error, number, own.lowest, own.highest)
        result[name] = _rounded(value)
        if bounds is not None:
            result[name] = dict(zip(("value", "low", "high"), map(_rounded, (value, *bounds)), strict=True))
    return result


def interval(
    value: float, error: float, proteins: float, lowest: float | None = 0.0, highest: float | None = 1.0
) -> tuple[float, float] | None:
    """95 % interval of a value with standard ``error``, from an (effective) number of ``proteins``.

    Between two bounds the variance of a mean is a multiple of that of a proportion, so that Wilson's score interval
    holds with the observed multiple, the design effect, in the place of 1/n (Korn & Graubard 1998, Survey Methodology
    24:193; Franco et al. 2019, J. Surv. Stat. Methodol. 7:334), and Student's t with ``proteins`` - 1 degrees of
    freedom in the place of the normal quantile. A value on a bound, without variation, is that of as many proteins
    that agree.
    With a lower bound of 0 alone the same is done on the logarithm; without bounds it is the usual t interval.
    ``None`` where the value does not vary, or is not within the bounds.
    """
    if not proteins > 1 or not np.isfinite(error):
        return None
    quantile = float(student.ppf(0.975, proteins - 1))
    if lowest is None:
        return (value - quantile * error, value + quantile * error) if error > 0 else None
    if highest is None:
        factor = np.exp(quantile * error / value) if error > 0 and value > 0 else 1.0
        return (value / factor, value * factor) if factor > 1 else None
    width = highest - lowest
    share, spread = (value - lowest) / width, error / width
    if not 0 <= share <= 1:
        return None
    if 0 < share < 1:
        design = spread**2 / (share * (1 - share))
    else:
        design = 1 / proteins
    if design < 1e-12:
        return None
    scale = quantile**2 * design
    centre = (share + scale / 2) / (1 + scale)
    half = np.sqrt(scale * share * (1 - share) + scale**2 / 4) / (1 + scale)
    low, high = max(centre - half, 0.0), min(centre + half, 1.0)
    return lowest + width * low, lowest + width * high


def effective_number(sizes: np.ndarray) -> float:
    """Kish's effective number of groups of these ``sizes``: as many of one size give a mean as well."""
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def _effective_proteins(
    values: Callable[[Weights], Values], codes: np.ndarray, kept: np.ndarray
) -> dict[str, float]:
    """The effective number of the proteins for which each metric is defined, among the records that are ``kept``.

    ``codes`` [records] are numbers of proteins. 1 stands for fewer than :data:`FEWEST_PROTEINS` of them. Of many
    proteins a part is looked at, spread evenly.
    """
    present, sizes = np.unique(codes[kept], return_counts=True)
    looked = np.linspace(0, len(present) - 1, min(len(present), _LOOKED_AT)).astype(np.int64)
    alone: dict[str, list[np.ndarray]] = {}
    block = max(1, _CELLS // len(codes))
    for first in range(0, len(looked), block):
        rows = (codes == present[looked[first : first + block], None]) & kept
        for name, value in values(rows.astype(np.float64)).items():
            alone.setdefault(name, []).append(np.isfinite(value))
    scale, result = len(present) / len(looked), {}
    for name, blocks in alone.items():
        defined = sizes[looked[np.concatenate(blocks)]].astype(np.float64)
        enough = len(defined) * scale >= FEWEST_PROTEINS
        result[name] = scale * effective_number(defined) if enough else 1.0
    return result


def _rounded(value: float) -> float:
    # The last bits depend on the order of additions in the linear algebra library.
    return round(float(value), 6)
