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
        """``latents [n, latent, dim]``, ``residues [R, dim]`` of all fragments, packed; ``mask [n, longest]`` (True: a
        residue) says how they are dealt to the fragments.
        """
        query = self._split(self.query(self.latent_norm(latents)))
        packed = self.key_value(self.residue_norm(residues))
        padded = packed.new_zeros(*mask.shape, packed.shape[-1]).masked_scatter(mask[..., None], packed)
        key, value = map(self._split, padded.chunk(2, dim=-1))
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

    def forward(self, protein_rows: torch.Tensor, spans: torch.Tensor) -> torch.Tensor:
        """Soft tokens ``[n, latent_size, dim]``.

        Args:
            protein_rows: ``[R, dim]`` of all proteins of the batch, one after the other.
            spans: ``[n, 2]`` rows of each fragment, 0-based and half-open, at least one row.
        """
        start, end = spans.unbind(1)
        offsets = torch.arange(int((end - start).max()), device=protein_rows.device)
        mask = offsets[None] < (end - start)[:, None]
        residues = protein_rows[(start[:, None] + offsets[None])[mask]]
        fragment = torch.arange(len(spans), device=spans.device).repeat_interleave(end - start)
        total = residues.new_zeros(len(spans), residues.shape[1]).index_add(0, fragment, residues)
        latents = self.latents + (total / (end - start)[:, None]).unsqueeze(1)
        for layer in self.layers:
            latents = layer(latents, residues, mask)
        return self.output_norm(latents)

    @torch.no_grad()
    def scale_output(self, root_mean_square: float) -> None:
        """Make the outputs start with this root mean square."""
        self.output_norm.weight.fill_(root_mean_square)
