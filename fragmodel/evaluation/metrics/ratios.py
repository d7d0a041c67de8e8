"""Ratios of counts, on arrays of any shape, with one rule for empty denominators."""

import numpy as np


def divide(above: np.ndarray, below: np.ndarray, empty: float = 0.0) -> np.ndarray:
    """``above / below``, and ``empty`` where ``below`` is 0 (as scikit-learn's ``zero_division=0``)."""
    above, below = np.broadcast_arrays(np.asarray(above, dtype=np.float64), below)
    return np.divide(above, below, out=np.full(above.shape, empty), where=below != 0)


def f1(hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision ``hits / predicted`` and recall ``hits / true``: the Dice coefficient."""
    return divide(2 * hits, predicted + true)


def matthews(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    """Matthews correlation coefficient of two classes (Matthews 1975), 0 where a margin is empty."""
    margins = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return divide(tp * tn - fp * fn, margins)
