"""Bootstrap over proteins, and paired tests.

Records of one protein are not independent, so whole proteins are drawn with replacement (a cluster bootstrap:
Davison & Hinkley 1997, *Bootstrap Methods and their Application*, section 3.8). A resample is a row of
weights: how often each record was drawn. Metrics are functions of weighted sums, so that all resamples are
computed at once.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

Weights = np.ndarray  # [resamples, records], float64
Values = dict[str, np.ndarray]  # metric -> [resamples]

_CELLS = 10_000_000  # weights held at once


def resamples(proteins: Sequence[str], samples: int, seed: int) -> Iterator[Weights]:
    """Weights of ``samples`` resamples, in blocks; ``proteins`` names the protein of each record."""
    names, codes = np.unique(np.asarray(proteins, dtype=object).astype(str), return_inverse=True)
    if not len(names):
        return
    rng = np.random.default_rng(seed)
    chances = np.full(len(names), 1 / len(names))
    block = max(1, _CELLS // len(codes))
    for first in range(0, samples, block):
        draws = rng.multinomial(len(names), chances, size=min(block, samples - first))
        yield draws[:, codes].astype(np.float64)


def estimate(
    values: Callable[[Weights], Values],
    proteins: Sequence[str],
    *,
    samples: int,
    seed: int,
    mask: np.ndarray | None = None,
) -> dict[str, float] | dict[str, dict[str, float]]:
    """Metrics of the records in ``mask`` (bool [records]; all by default), with 95 % percentile intervals.

    ``values`` maps weights to metrics. With ``samples=0`` the result is ``{metric: value}``, else
    ``{metric: {"value", "low", "high"}}``. Metrics that are undefined (nan) are left out; resamples in which
    a metric is undefined are left out of its interval.
    """
    keep = np.ones(len(proteins)) if mask is None else mask.astype(np.float64)
    points = {name: float(value[0]) for name, value in values(keep[None]).items() if np.isfinite(value[0])}
    if not samples:
        return {name: _rounded(value) for name, value in points.items()}
    blocks = [values(weights * keep) for weights in resamples(proteins, samples, seed)]
    result = {}
    for name, value in points.items():
        drawn = np.concatenate([block[name] for block in blocks])
        low, high = np.percentile(drawn[np.isfinite(drawn)], [2.5, 97.5])
        result[name] = {"value": _rounded(value), "low": _rounded(low), "high": _rounded(high)}
    return result


def _rounded(value: float) -> float:
    # The last bits depend on the order of additions in the linear algebra library.
    return round(float(value), 6)
