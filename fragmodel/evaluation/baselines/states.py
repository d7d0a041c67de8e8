"""Encoder states of records, as the systems that look at them take them from the store."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from fragmodel.evaluation.references import Reference
from fragmodel.vocabulary import Span

BLOCK = 1024  # rows of one side of a product


class Store(Protocol):
    """What is used of :class:`fragmodel.embeddings.store.EmbeddingStore`."""

    def get(self, sequence: str) -> Any:
        """Encoder states, a float tensor [residues + 2, dim]; row i + 1 is residue i."""


def residue_states(store: Store, sequence: str) -> np.ndarray:
    """States of the residues alone, float32 [residues, dim]."""
    return store.get(sequence)[1:-1].float().numpy()


def pooled(store: Store, records: Sequence[Reference]) -> np.ndarray:
    """Mean states, float32 [records, dim], of the fragment referred to, else of the window, each read once."""
    by_window: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        by_window[record.sequence].append(index)
    vectors = np.empty((0, 0), dtype=np.float32)
    for sequence, indices in by_window.items():
        states = residue_states(store, sequence)
        if not vectors.size:
            vectors = np.empty((len(records), states.shape[1]), dtype=np.float32)
        for index in indices:
            span = records[index].position_ref or Span(0, len(sequence))
            vectors[index] = states[span.start : span.end].mean(axis=0)
    return vectors


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows divided by their length, in place."""
    squares = np.einsum("ij,ij->i", vectors, vectors)  # no second matrix, as in linalg.norm
    vectors /= np.maximum(np.sqrt(squares), 1e-12)[:, None]
    return vectors


def nearest_rows(memory: np.ndarray, queries: np.ndarray, *, block: int = BLOCK) -> np.ndarray:
    """The row of ``memory`` [n, dim] with the greatest product with each query [m, dim], the first of equals; [m].

    Products are made block by block: no more than ``block`` × 8 ``block`` are in memory.
    """
    best = np.full(len(queries), -np.inf, dtype=np.float32)
    rows = np.zeros(len(queries), dtype=np.int64)
    for start in range(0, len(queries), block):
        part = slice(start, start + block)
        for first in range(0, len(memory), 8 * block):
            products = queries[part] @ memory[first : first + 8 * block].T
            found = products.argmax(axis=1)
            value = products[np.arange(len(found)), found]
            better = value > best[part]
            best[part][better], rows[part][better] = value[better], first + found[better]
    return rows
