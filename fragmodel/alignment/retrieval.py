"""Does a protein find its description among all, and a description its protein?"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

CUTOFFS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Pairs as a retrieval task: each item and each text once, and which belong together.

    ``item_rows`` and ``text_rows`` are the first pair of each item and of each text; ``relevant [items, texts]``
    (bool) is True where they are a pair.
    """

    item_rows: np.ndarray
    text_rows: np.ndarray
    relevant: np.ndarray


def catalogue(items: Sequence[Hashable], texts: Sequence[Hashable]) -> Catalogue:
    """The catalogue of the pairs ``(items[i], texts[i])``."""
    item_rows, item_of = _first_rows(items)
    text_rows, text_of = _first_rows(texts)
    relevant = np.zeros((len(item_rows), len(text_rows)), dtype=bool)
    relevant[item_of, text_of] = True
    return Catalogue(item_rows, text_rows, relevant)


def first_ranks(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Rank, from 1, of the best right candidate of each query; a wrong one of equal score goes before it.

    ``scores`` and ``relevant`` are ``[queries, candidates]``; each query has a right candidate.
    """
    best = np.where(relevant, scores, -np.inf).max(axis=1)
    return 1 + ((scores >= best[:, None]) & ~relevant).sum(axis=1)


def retrieval_metrics(ranks: np.ndarray) -> dict[str, float]:
    """``recall_at_K``: share of queries with a right candidate among the first K; ``mrr``: mean of 1 / rank."""
    recalls = {f"recall_at_{cutoff}": float((ranks <= cutoff).mean()) for cutoff in CUTOFFS}
    return recalls | {"mrr": float((1 / ranks).mean())}


def random_metrics(relevant: np.ndarray) -> dict[str, float]:
    """The expectation of :func:`retrieval_metrics` when each query's candidates come in random order.

    With ``c`` right ones among ``n``, the first right one comes after place ``k`` with probability
    ``C(n - c, k) / C(n, k)``, which is 1 at ``k = 0`` and ``(n - c - k) / (n - k)`` times as much at ``k + 1``.
    """
    candidates = relevant.shape[1]
    totals = dict.fromkeys([*(f"recall_at_{cutoff}" for cutoff in CUTOFFS), "mrr"], 0.0)
    counts, queries = np.unique(relevant.sum(axis=1), return_counts=True)
    for right, weight in zip(counts.tolist(), (queries / len(relevant)).tolist(), strict=True):
        later = [1.0]
        while later[-1]:
            k = len(later) - 1
            later.append(later[-1] * (candidates - right - k) / (candidates - k))
        for cutoff in CUTOFFS:
            totals[f"recall_at_{cutoff}"] += weight * (1 - later[min(cutoff, len(later) - 1)])
        totals["mrr"] += weight * sum((later[k] - later[k + 1]) / (k + 1) for k in range(len(later) - 1))
    return totals


def both_ways(scores: np.ndarray, relevant: np.ndarray) -> dict[str, dict[str, float]]:
    """Metrics of ``scores [items, texts]``: ``to_text`` (an item asks for its text) and ``from_text``."""
    return {
        "to_text": retrieval_metrics(first_ranks(scores, relevant)),
        "from_text": retrieval_metrics(first_ranks(scores.T, relevant.T)),
    }


def _first_rows(values: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """First row of each distinct value, and the number of each row's value."""
    numbers: dict[Hashable, int] = {}
    rows = []
    for row, value in enumerate(values):
        if value not in numbers:
            numbers[value] = len(numbers)
            rows.append(row)
    return np.array(rows, dtype=int), np.array([numbers[value] for value in values], dtype=int)
