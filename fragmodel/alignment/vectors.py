"""Items and texts as vectors: from the two stores, through the adapters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fragmodel.alignment.adapters import AlignedAdapters
from fragmodel.alignment.loss import contrastive_loss, false_negatives
from fragmodel.alignment.pairs import Pairs
from fragmodel.alignment.processes import share, summed
from fragmodel.alignment.retrieval import blocks, both_ways, catalogue
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
        """As :meth:`items`, for any number of them, float32."""
        made = torch.zeros(len(indices), model.width, device=self.device)
        for part in blocks(len(indices), self.args.chunk_size):
            made[part.start : part.stop] = self.items(model, pairs, [indices[i] for i in part]).float()
        return made

    def excluded(self, pairs: Pairs, indices: Sequence[int]) -> torch.Tensor:
        """Pairs of the batch that are no negatives, on the device."""
        items, texts = ([values[i] for i in indices] for values in (pairs.items, pairs.texts))
        return false_negatives(items, texts).to(self.device)

    @torch.no_grad()
    def validate(self, model: AlignedAdapters, pairs: Pairs) -> dict[str, Any]:
        """``eval_loss``, the mean over batches in the order of the pairs, and retrieval ``to_text``, ``from_text``.

        All processes call it together; each works on its share of the batches and of the items.
        """
        batches = torch.arange(len(pairs)).tensor_split(-(-len(pairs) // self.args.batch_size))
        loss = torch.zeros((), device=self.device)
        for number in share(len(batches)):
            part = batches[number]
            items = self.all_items(model, pairs, part.tolist())
            texts = self.texts([pairs.texts[i] for i in part])
            loss += contrastive_loss(items, texts, model.log_scale, self.excluded(pairs, part))
        return {"eval_loss": summed(loss).item() / len(batches), **self.retrieval(model, pairs)}

    def retrieval(self, model: AlignedAdapters, pairs: Pairs) -> dict[str, dict[str, float]]:
        """Metrics of the items that ``model`` makes, each item and each text once; all processes call it together."""
        found = catalogue(pairs.items, pairs.texts)
        own = share(len(found.item_rows))
        items = self.all_items(model, pairs, found.item_rows[own.start : own.stop].tolist())
        return both_ways(items, own, lambda part: self.texts_at(pairs, found.text_rows[part]), found)

    def texts_at(self, pairs: Pairs, rows: Sequence[int]) -> torch.Tensor:
        """Vectors ``[n, width]`` of the texts of the pairs ``rows``."""
        return self.texts([pairs.texts[row] for row in rows])
