"""Multinomial logistic regression that takes any number of rows and classes in bounded time and memory."""

from collections.abc import Iterator

import numpy as np
import torch

_BATCH = 1024
_EPOCHS = 20
_STEPS = (500, 2000)  # fewest and most
_RATE, _DECAY = 0.1, 0.01  # the rate goes by the root of the features, whose steps add up
_BLOCK = 8192  # rows that are standardised or classified together


class SoftmaxRegression:
    """A linear head on standardised features, with balanced class weights (n / (classes × n of the class)).

    Fitted by AdamW on mini-batches drawn with replacement, since a full pass over 500,000 rows and thousands of classes
    takes minutes: 20 passes, but 2,000 steps of 1,024 rows at most. The same rows, seed and number of threads give the
    same head.

    Args:
        rows: features, float [n, dim], of any precision.
        labels: int [n], from 0.
        classes: number of labels.
        seed: seed of the batches.
    """

    def __init__(self, rows: np.ndarray, labels: np.ndarray, classes: int, *, seed: int = 1) -> None:
        self._mean, self._scale = _moments(rows)
        head = torch.nn.Linear(rows.shape[1], classes)
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
        counts = np.bincount(labels, minlength=classes)
        weights = torch.tensor(len(labels) / (classes * np.maximum(counts, 1)), dtype=torch.float32)
        steps = int(np.clip(_EPOCHS * len(labels) // _BATCH, *_STEPS))
        optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE / rows.shape[1] ** 0.5, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        draw = np.random.default_rng(seed)
        for _ in range(steps):
            chosen = (
                slice(None) if len(labels) <= _BATCH else np.sort(draw.integers(len(labels), size=_BATCH))
            )
            logits = head(torch.from_numpy(self._standard(rows[chosen])))
            truth = torch.from_numpy(labels[chosen])
            # Not the weight of cross_entropy, whose mean is that of each batch alone.
            losses = torch.nn.functional.cross_entropy(logits, truth, reduction="none") * weights[truth]
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
            schedule.step()
        self._weight = head.weight.detach().numpy().T
        self._bias = head.bias.detach().numpy()

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Up to a constant the log-odds of each class, were all equally frequent; float32 [n, classes]."""
        return self._standard(rows) @ self._weight + self._bias

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The most probable label of each row, [n]."""
        return np.concatenate([self.logits(part).argmax(axis=1) for part in _blocks(rows)])

    def _standard(self, rows: np.ndarray) -> np.ndarray:
        return (rows.astype(np.float32) - self._mean) * self._scale


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(rows), _BLOCK):
        yield rows[first : first + _BLOCK]


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and inverse standard deviation of each column, float32 [dim]; 0 for one that is constant."""
    mean = sum(part.sum(axis=0, dtype=np.float64) for part in _blocks(rows)) / len(rows)
    squares = sum(np.square(part - mean).sum(axis=0) for part in _blocks(rows)) / len(rows)
    scale = np.where(squares > 1e-12, 1 / np.sqrt(np.maximum(squares, 1e-12)), 0.0)
    return mean.astype(np.float32), scale.astype(np.float32)
