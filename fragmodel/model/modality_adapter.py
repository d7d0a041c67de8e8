"""From encoder states to the decoder's embedding space, residue by residue."""

import torch
from torch import nn


class ModalityAdapter(nn.Module):
    """Two-layer perceptron between layer norms.

    The gain of the output norm starts at the size of the decoder's own token embeddings (see
    :meth:`scale_output`): a pretrained decoder is then given vectors of the magnitude that it knows.
    """

    def __init__(self, encoder_dim: int, intermediate_dim: int, decoder_dim: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(encoder_dim)
        self.up = nn.Linear(encoder_dim, intermediate_dim)
        self.activation = nn.GELU()
        self.down = nn.Linear(intermediate_dim, decoder_dim)
        self.output_norm = nn.LayerNorm(decoder_dim)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """``[..., encoder_dim]`` to ``[..., decoder_dim]``, in the dtype of the weights."""
        hidden_states = self.input_norm(hidden_states.to(self.up.weight.dtype))
        return self.output_norm(self.down(self.activation(self.up(hidden_states))))

    @torch.no_grad()
    def scale_output(self, root_mean_square: float) -> None:
        """Make the outputs start with this root mean square."""
        self.output_norm.weight.fill_(root_mean_square)
