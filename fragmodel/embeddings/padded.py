"""The forward pass of encoders that are run as transformers has them: padded on the right."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from fragmodel.embeddings.encoders import resolve_layer
from fragmodel.embeddings.kinds import token_ids


class PaddedEncoder:
    """As :class:`fragmodel.embeddings.forward.PackedEncoder`, for ESM-C and T5."""

    def __init__(self, model: PreTrainedModel, layer: int = -1) -> None:
        self.model, self.config = model, model.config
        self.layer = resolve_layer(model.config.num_hidden_layers, layer)

    @torch.inference_mode()
    def __call__(self, sequences: Sequence[str]) -> list[Tensor]:
        """States ``[residues + 2, dim]`` of each sequence, in the model's dtype and on its device.

        The first row is zero where the encoder writes no token before the residues.
        """
        rows = [token_ids(sequence, self.config) for sequence in sequences]
        ids = pad_sequence(rows, batch_first=True, padding_value=self.config.pad_token_id)
        mask = pad_sequence([torch.ones(len(row), dtype=torch.int64) for row in rows], batch_first=True)
        last = self.layer == self.config.num_hidden_layers
        output = self.model(
            input_ids=ids.to(self.model.device),
            attention_mask=mask.to(self.model.device),
            output_hidden_states=not last,
        )
        states = output.last_hidden_state if last else output.hidden_states[self.layer]
        found = []
        for row, sequence, count in zip(states, sequences, map(len, rows), strict=True):
            whole = row.new_zeros(len(sequence) + 2, row.shape[1])
            whole[len(sequence) + 2 - count :] = row[:count]
            found.append(whole)
        return found
