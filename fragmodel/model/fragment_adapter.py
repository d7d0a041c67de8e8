"""Perceiver that reads a fragment's residues into a few soft tokens (Jaegle et al. 2021, arXiv:2103.03206).

One step beyond the publication: the latents start from the mean of the fragment's residues. Without it two
fragments of one protein look alike at first, and small data sets end before the attention tells them apart. The mean
passes by a Perceiver that is narrower than the decoder, so that it loses nothing there.
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
    """Turns each fragment of a batch into ``latent_size`` soft tokens of the decoder's width ``dim``.

    The Perceiver is ``width`` wide, between projections; without one (0), or with one that is not below ``dim``, it is
    as wide as the decoder and has none. Raises ``ValueError`` when its width is no multiple of ``heads``.
    """

    def __init__(self, dim: int, latent_size: int, heads: int, layers: int, width: int = 0) -> None:
        super().__init__()
        width = min(width, dim) or dim
        if width % heads:
            raise ValueError(
                f"num_perceiver_heads ({heads}) must divide the fragment adapter's width ({width}); "
                f"try {max(h for h in range(1, heads + 1) if width % h == 0)}"
            )
        if width < dim:
            self.input_projection = nn.Linear(dim, width, bias=False)
            self.output_projection = nn.Linear(width, dim, bias=False)
        self.is_narrow = width < dim
        self.latents = nn.Parameter(torch.randn(latent_size, width) * width**-0.5)
        self.layers = nn.ModuleList(CrossAttentionLayer(width, heads) for _ in range(layers))
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
        return self.read(residues, mask, (total / (end - start)[:, None]).unsqueeze(1))

    def read(self, residues: torch.Tensor, mask: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Soft tokens ``[n, latent_size, dim]`` from ``residues [R, dim]``, dealt out by ``mask [n, longest]``.

        ``mean [n, 1, dim]`` is that of each fragment's residues.
        """
        inner = self.input_projection if self.is_narrow else nn.Identity()
        latents, residues = self.latents + inner(mean), inner(residues)
        for layer in self.layers:
            latents = layer(latents, residues, mask)
        if self.is_narrow:
            latents = mean + self.output_projection(latents)
        return self.output_norm(latents)

    @torch.no_grad()
    def scale_output(self, root_mean_square: float) -> None:
        """Make the outputs start with this root mean square."""
        self.output_norm.weight.fill_(root_mean_square)
