"""Batches without padding: the records of a batch lie one after the other."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from fragmodel.batching.collator import NO_FRAGMENT
from fragmodel.embeddings import alphabet

Batch = dict[str, torch.Tensor]


class PackedCollator:
    """Packs what :class:`fragmodel.batching.dataset.FragRefDataset` gives into one batch.

    A batch of ``n`` records has ``input_ids``, ``labels [tokens]`` (where the records have them), ``lengths [n]``
    (tokens of each record), ``position_ref [n, 2]`` (-1: no fragment), ``protein_lengths [n]`` (``residues + 2``)
    and either ``protein_hidden_states [rows, encoder_dim]`` or ``protein_input_ids [rows]``.
    """

    def __call__(self, records: Sequence[dict[str, Any]]) -> Batch:
        """Pack; records with and without a fragment mix freely."""
        batch = {name: _joined(records, name) for name in ("input_ids", "labels") if name in records[0]}
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        batch["lengths"] = torch.tensor([len(record["input_ids"]) for record in records])
        batch["position_ref"] = torch.tensor([record["position_ref"] or NO_FRAGMENT for record in records])
        batch["protein_lengths"] = torch.tensor([len(record["sequence"]) + 2 for record in records])
        if "protein_hidden_states" in records[0]:
            batch["protein_hidden_states"] = torch.cat(
                [record["protein_hidden_states"] for record in records]
            )
        else:
            batch["protein_input_ids"] = alphabet.encode_packed([record["sequence"] for record in records])
        return batch


def micro_batches(batch: Batch, max_tokens: int) -> Iterator[Batch]:
    """The packed batch in parts of neighbouring records with at most ``max_tokens`` tokens each.

    A record that is longer is a part of its own. The losses of the parts, divided by the same
    ``num_items_in_batch``, add up to the loss of the batch, and so do their gradients.
    """
    lengths, protein_lengths = batch["lengths"].tolist(), batch["protein_lengths"].tolist()
    first = token = row = 0
    while first < len(lengths):
        last = first + 1
        while last < len(lengths) and sum(lengths[first : last + 1]) <= max_tokens:
            last += 1
        tokens, rows = sum(lengths[first:last]), sum(protein_lengths[first:last])
        part = {}
        for name, values in batch.items():
            if name in ("input_ids", "labels", "attention_mask"):
                part[name] = values[token : token + tokens]
            elif name in ("protein_hidden_states", "protein_input_ids"):
                part[name] = values[row : row + rows]
            else:
                part[name] = values[first:last]
        yield part
        first, token, row = last, token + tokens, row + rows


def _joined(records: Sequence[dict[str, Any]], name: str) -> torch.Tensor:
    return torch.tensor([token for record in records for token in record[name]])
