"""Does a protein find its description among all, and a description its protein?"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fragmodel.alignment.processes import largest, summed

CUTOFFS = (1, 5, 10)
BLOCK_SCORES = 2**26  # scores that are held at once
Vectors = Callable[[range], Tensor]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Pairs as a retrieval task: each item and each text once, and which belong together.

    ``item_rows`` and ``text_rows`` are the first pair of each item and of each text, ascending; ``pairs [n, 2]`` are
    the numbers of an item and a text that belong together, each pair once.
    """

    item_rows: np.ndarray
    text_rows: np.ndarray
    pairs: np.ndarray

    def right_answers(self) -> dict[str, tuple[np.ndarray, int]]:
        """For each way the number of right candidates of each query, and the number of candidates."""
        items, texts = len(self.item_rows), len(self.text_rows)
        return {
            "to_text": (np.bincount(self.pairs[:, 0], minlength=items), texts),
            "from_text": (np.bincount(self.pairs[:, 1], minlength=texts), items),
        }


def catalogue(items: Sequence[Hashable], texts: Sequence[Hashable]) -> Catalogue:
    """The catalogue of the pairs ``(items[i], texts[i])``."""
    item_rows, item_of = _first_rows(items)
    text_rows, text_of = _first_rows(texts)
    return Catalogue(item_rows, text_rows, np.unique(np.stack([item_of, text_of], axis=1), axis=0))


def first_ranks(
    items: Tensor, own: range, texts: Vectors, pairs: np.ndarray, count: int, block: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Rank, from 1, of the best right candidate of each query; a wrong one of equal score goes before it.

    The queries are first all items, then all ``count`` texts; the score is the cosine. This process has the vectors
    ``items [len(own), width]`` of the items ``own`` and works on their scores, ``block`` texts at a time (0: as many as
    make 256 MiB); ``texts(range)`` gives vectors ``[n, width]``. All processes return the ranks of all queries.
    ``pairs [n, 2]`` are numbers of items and texts that belong together; each item and each text has one.
    """
    items = normalize(items)
    device, right = items.device, torch.from_numpy(pairs)
    right = right[(right[:, 0] >= own.start) & (right[:, 0] < own.stop)]
    right = right[right[:, 1].argsort(stable=True)] - torch.tensor([own.start, 0])

    def scores() -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
        """Texts, scores ``[len(own), texts]``, and rows and columns of the right ones."""
        for part in blocks(count, block or max(1, BLOCK_SCORES // max(1, len(items)))):
            first, last = torch.searchsorted(right[:, 1].contiguous(), torch.tensor([part.start, part.stop]))
            rows, columns = right[first:last].to(device).unbind(1)
            yield (
                slice(part.start, part.stop),
                items @ normalize(texts(part).to(device)).T,
                rows,
                columns - part.start,
            )

    best_text = torch.full((len(items),), -torch.inf, device=device)
    best_item = torch.full((count,), -torch.inf, device=device)
    for part, found, rows, columns in scores():
        best_text.scatter_reduce_(0, rows, found[rows, columns], "amax")
        best_item[part].scatter_reduce_(0, columns, found[rows, columns], "amax")
    largest(best_item)
    # The same products once more, since all scores together would not fit into memory. What is not less goes
    # before: equal ones, and those that are not a number.
    total = int(summed(torch.tensor(len(own), device=device)))
    ranks, text_ranks = (torch.zeros(size, dtype=torch.int64, device=device) for size in (total, count))
    for part, found, rows, columns in scores():
        for axis, best, before in (
            (1, best_text[:, None], ranks[own.start : own.stop]),
            (0, best_item[part], text_ranks[part]),
        ):
            ahead = ~(found < best)
            ahead[rows, columns] = False
            before += ahead.sum(axis)
    return tuple((1 + summed(before)).cpu().numpy() for before in (ranks, text_ranks))


def nearest_rows(queries: Tensor, memory: Vectors, count: int, block: int = 4096) -> Tensor:
    """For each query ``[n, width]`` the row of ``memory`` (``count`` rows) of largest cosine; of several the first."""
    queries = normalize(queries)
    best = torch.full((len(queries),), -torch.inf, device=queries.device)
    nearest = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    for part in blocks(count, block):
        value, row = (queries @ normalize(memory(part).to(queries.device)).T).max(dim=1)
        nearest = torch.where(value > best, row + part.start, nearest)
        best = torch.maximum(best, value)
    return nearest.cpu()


def blocks(count: int, size: int) -> Iterator[range]:
    """``range(count)`` in parts of at most ``size``."""
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def normalize(rows: Tensor) -> Tensor:
    """Rows ``[n, width]`` of length 1, float32."""
    return torch.nn.functional.normalize(rows.float(), dim=1)


def retrieval_metrics(ranks: np.ndarray) -> dict[str, float]:
    """``recall_at_K``: share of queries with a right candidate among the first K; ``mrr``: mean of 1 / rank."""
    recalls = {f"recall_at_{cutoff}": float((ranks <= cutoff).mean()) for cutoff in CUTOFFS}
    return recalls | {"mrr": float((1 / ranks).mean())}


def random_metrics(right: np.ndarray, candidates: int) -> dict[str, float]:
    """The expectation of :func:`retrieval_metrics` when each query's candidates come in random order.

    ``right [queries]`` is the number of right ones among the ``candidates``.

    With ``c`` right ones among ``n``, the first right one comes after place ``k`` with probability
    ``C(n - c, k) / C(n, k)``, which is 1 at ``k = 0`` and ``(n - c - k) / (n - k)`` times as much at ``k + 1``.
    """
    totals = dict.fromkeys([*(f"recall_at_{cutoff}" for cutoff in CUTOFFS), "mrr"], 0.0)
    counts, queries = np.unique(right, return_counts=True)
    for count, weight in zip(counts.tolist(), (queries / len(right)).tolist(), strict=True):
        later = [1.0]
        while later[-1]:
            k = len(later) - 1
            later.append(later[-1] * (candidates - count - k) / (candidates - k))
        for cutoff in CUTOFFS:
            totals[f"recall_at_{cutoff}"] += weight * (1 - later[min(cutoff, len(later) - 1)])
        totals["mrr"] += weight * sum((later[k] - later[k + 1]) / (k + 1) for k in range(len(later) - 1))
    return totals


def both_ways(items: Tensor, own: range, texts: Vectors, found: Catalogue) -> dict[str, dict[str, float]]:
    """Metrics ``to_text`` (an item asks for its text) and ``from_text``; arguments as in :func:`first_ranks`."""
    ranks = first_ranks(items, own, texts, found.pairs, len(found.text_rows))
    return {way: retrieval_metrics(each) for way, each in zip(("to_text", "from_text"), ranks, strict=True)}


def _first_rows(values: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """First row of each distinct value, and the number of each row's value."""
    numbers: dict[Hashable, int] = {}
    rows = []
    for row, value in enumerate(values):
        if value not in numbers:
            numbers[value] = len(numbers)
            rows.append(row)
    return np.array(rows, dtype=int), np.array([numbers[value] for value in values], dtype=int)
