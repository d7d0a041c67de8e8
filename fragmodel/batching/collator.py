"""From records to padded tensors."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from fragmodel.embeddings import alphabet
from fragmodel.model.token_loss import IGNORED

NO_FRAGMENT = (-1, -1)


class FragDataCollator:
    """Pads what :class:`fragmodel.batching.dataset.FragRefDataset` gives into one batch.

    Tokens are padded on the right for training and on the left for generation (``padding_side``). A batch has
    ``input_ids, attention_mask, labels [batch, tokens]``, ``position_ref [batch, 2]`` (-1: no fragment),
    ``protein_attention_mask [batch, residues + 2]`` and either ``protein_hidden_states
    [batch, residues + 2, encoder_dim]`` or ``protein_input_ids [batch, residues + 2]``.
    """

    def __init__(self, pad_token_id: int, padding_side: str = "right") -> None:
        self.pad_token_id = pad_token_id
        self.padding_side = padding_side

    def __call__(self, records: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Collate; records with and without a fragment mix freely."""
        tokens = [torch.as_tensor(record["input_ids"]) for record in records]
        batch = {
            "input_ids": self._pad(tokens, self.pad_token_id),
            "attention_mask": self._pad([torch.ones_like(ids) for ids in tokens], 0),
            "position_ref": torch.tensor([record["position_ref"] or NO_FRAGMENT for record in records]),
        }
        if "labels" in records[0]:
            batch["labels"] = self._pad([torch.as_tensor(r["labels"]) for r in records], IGNORED)
        if "protein_hidden_states" in records[0]:
            states = [record["protein_hidden_states"] for record in records]
            batch["protein_hidden_states"] = pad_sequence(states, batch_first=True)
            rows = [torch.ones(len(state), dtype=torch.long) for state in states]
            batch["protein_attention_mask"] = pad_sequence(rows, batch_first=True)
        else:
            ids = alphabet.encode([record["sequence"] for record in records])
            batch |= {"protein_input_ids": ids, "protein_attention_mask": alphabet.attention_mask(ids)}
        return batch

    def _pad(self, rows: list[torch.Tensor], value: int) -> torch.Tensor:
        return pad_sequence(rows, batch_first=True, padding_value=value, padding_side=self.padding_side)
