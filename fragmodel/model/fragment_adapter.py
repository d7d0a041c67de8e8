"""Perceiver that reads a fragment's residues into a few soft tokens (Jaegle et al. 2021, arXiv:2103.03206).

One step beyond the publication: the latents start from the mean of the fragment's residues. Without it two
fragments of one protein look alike at first, and small data sets end before the attention tells them apart.
"""

import torch
import torch.nn.functional as F
from torch import nn


class CrossAttentionLayer(nn.Module):
    """Latents attend to residues, then pass a feed-forward block; both pre-norm and residual."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.latent_norm = nn.LayerNorm(dim)
        self.residue_norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
        )

    def forward(self, latents: torch.Tensor, residues: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """``latents [n, latent, dim]``, ``residues [n, length, dim]``, ``mask [n, length]`` (True: a residue)."""
        query = self._split(self.query(self.latent_norm(latents)))
        key, value = map(self._split, self.key_value(self.residue_norm(residues)).chunk(2, dim=-1))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        latents = latents + self.output(attended.transpose(1, 2).flatten(2))
        return latents + self.feed_forward(latents)

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FragmentAdapter(nn.Module):
    """Turns each fragment of a batch into ``latent_size`` soft tokens of the decoder's width.

    Raises ``ValueError`` when ``dim`` is no multiple of ``heads``.
    """

    def __init__(self, dim: int, latent_size: int, heads: int, layers: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(
                f"num_perceiver_heads ({heads}) must divide the decoder's width ({dim}); "
                f"try {max(h for h in range(1, heads + 1) if dim % h == 0)}"
            )
        self.latents = nn.Parameter(torch.randn(latent_size, dim) * dim**-0.5)
        self.layers = nn.ModuleList(CrossAttentionLayer(dim, heads) for _ in range(layers))
        self.output_norm = nn.LayerNorm(dim)

    def forward(self, protein_states: torch.Tensor, position_ref: torch.Tensor) -> torch.Tensor:
        """Soft tokens ``[n, latent_size, dim]``.

        Args:
            protein_states: ``[n, residues + 2, dim]``; row 0 is BOS, so residue ``i`` is row ``i + 1``.
            position_ref: ``[n, 2]`` residues of each fragment, 0-based and half-open, at least one residue.
        """
        start, end = position_ref.unbind(1)
        offsets = torch.arange(int((end - start).max()), device=protein_states.device)
        mask = offsets[None] < (end - start)[:, None]
        rows = (start[:, None] + 1 + offsets[None]).clamp(max=protein_states.shape[1] - 1)
        residues = protein_states.gather(1, rows[..., None].expand(-1, -1, protein_states.shape[-1]))
        mean = (residues * mask[..., None]).sum(1, keepdim=True) / (end - start)[:, None, None]
        latents = self.latents + mean
        for layer in self.layers:
            latents = layer(latents, residues, mask)
        return self.output_norm(latents)

    @torch.no_grad()
    def scale_output(self, root_mean_square: float) -> None:
        """Make the outputs start with this root mean square."""
        self.output_norm.weight.fill_(root_mean_square)
