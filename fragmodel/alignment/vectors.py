"""Items and texts as vectors: from the two stores, through the adapters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fragmodel.alignment.adapters import AlignedAdapters
from fragmodel.alignment.loss import contrastive_loss, false_negatives
from fragmodel.alignment.pairs import Pairs
from fragmodel.alignment.retrieval import both_ways, catalogue
from fragmodel.alignment.texts import TextStore
from fragmodel.config.alignment import AlignmentConfig
from fragmodel.embeddings.store import EmbeddingStore


@dataclass(frozen=True)
class Vectors:
    """Where the vectors come from, and how many are made at once."""

    states: EmbeddingStore
    stored_texts: TextStore
    args: AlignmentConfig
    device: torch.device

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Vectors ``[n, width]`` of the frozen decoder."""
        return self.stored_texts.get(texts).to(self.device)

    def items(self, model: AlignedAdapters, pairs: Pairs, indices: Sequence[int]) -> torch.Tensor:
        """Vectors ``[n, width]`` of proteins or fragments; with a graph where gradients are enabled."""
        batch = pairs.batch([int(i) for i in indices], self.states).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.args.precision == "bfloat16"):
            return model(batch)

    @torch.no_grad()
    def all_items(self, model: AlignedAdapters, pairs: Pairs, indices: Sequence[int]) -> torch.Tensor:
        """As :meth:`items`, for any number of them, on the CPU."""
        size = self.args.chunk_size
        parts = [indices[start : start + size] for start in range(0, len(indices), size)]
        return torch.cat([self.items(model, pairs, part).float().cpu() for part in parts])

    def excluded(self, pairs: Pairs, indices: Sequence[int]) -> torch.Tensor:
        """Pairs of the batch that are no negatives, on the device."""
        items, texts = ([values[i] for i in indices] for values in (pairs.items, pairs.texts))
        return false_negatives(items, texts).to(self.device)

    @torch.no_grad()
    def validate(self, model: AlignedAdapters, pairs: Pairs) -> dict[str, Any]:
        """``eval_loss``, the mean over batches in the order of the pairs, and retrieval ``to_text``, ``from_text``."""
        everything = range(len(pairs))
        vectors, texts = self.all_items(model, pairs, everything), self.stored_texts.get(pairs.texts)
        losses = []
        for part in torch.arange(len(pairs)).tensor_split(-(-len(pairs) // self.args.batch_size)):
            excluded = self.excluded(pairs, part).cpu()
            losses.append(
                contrastive_loss(vectors[part], texts[part], model.log_scale.cpu(), excluded).item()
            )
        found = catalogue(pairs.items, pairs.texts)
        scores = cosines(vectors[found.item_rows], texts[found.text_rows])
        return {"eval_loss": sum(losses) / len(losses), **both_ways(scores, found.relevant)}


def cosines(left: torch.Tensor, right: torch.Tensor) -> np.ndarray:
    """Cosine of each row of ``left [n, width]`` with each of ``right [m, width]``: float32 ``[n, m]``."""
    unit = [torch.nn.functional.normalize(side.float(), dim=1) for side in (left, right)]
    return (unit[0] @ unit[1].T).numpy()
