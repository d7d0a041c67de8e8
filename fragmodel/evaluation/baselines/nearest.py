"""Nearest neighbour in the space of the frozen encoder: its class, description or places are the answer."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from fragmodel.data.grammar import NONE, grounding_answer
from fragmodel.data.prompts import plain
from fragmodel.evaluation.baselines.priors import Texts, scaled
from fragmodel.evaluation.parse import normalise
from fragmodel.evaluation.references import Reference
from fragmodel.vocabulary import GROUNDING_TASKS, Span


class Store(Protocol):
    """What is used of :class:`fragmodel.embeddings.store.EmbeddingStore`."""

    def get(self, sequence: str) -> Any:
        """Encoder states, a float tensor [residues + 2, dim]; row i + 1 is residue i."""


class NearestEmbedding:
    """Cosine similarity of mean-pooled encoder states.

    Referring tasks pool the residues of the fragment, all others the whole window. `grounding_single`
    searches the training records of the class in question, those of proteins without it among them; a class
    without any is nowhere. Places keep their relative position.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
        """An answer for each record of ``asked``."""
        task = asked[0].key.task_type
        memory, queries = self._pooled(known), self._pooled(asked)
        by_class: dict[str, list[int]] = defaultdict(list)
        for index, record in enumerate(known):
            by_class[normalise(record.class_name)].append(index)
        texts = {}
        for record, query in zip(asked, queries, strict=True):
            if task != "grounding_single":
                best = int(np.argmax(memory @ query))
            elif rows := by_class.get(normalise(record.class_name)):
                best = rows[int(np.argmax(memory[rows] @ query))]
            else:
                texts[record.key] = NONE
                continue
            texts[record.key] = _transfer(known[best], record)
        return texts

    def _pooled(self, records: Sequence[Reference]) -> np.ndarray:
        """Unit vectors, float32 [records, dim]; each window is read once."""
        by_window: dict[str, list[int]] = defaultdict(list)
        for index, record in enumerate(records):
            by_window[record.sequence].append(index)
        pooled: list[np.ndarray] = [np.empty(0)] * len(records)
        for sequence, indices in by_window.items():
            states = self._store.get(sequence).float().numpy()
            for index in indices:
                span = records[index].position_ref or Span(0, len(sequence))
                pooled[index] = states[span.start + 1 : span.end + 1].mean(axis=0)  # row 0 is BOS
        vectors = np.stack(pooled).astype(np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _transfer(neighbour: Reference, record: Reference) -> str:
    task = record.key.task_type
    if task in GROUNDING_TASKS:
        groups = [
            (name, [scaled(span, neighbour.length, record.length) for span in spans])
            for name, spans in neighbour.groups
        ]
        return grounding_answer(task, groups)
    return plain(neighbour.class_name) if task == "referring_class" else neighbour.answer
