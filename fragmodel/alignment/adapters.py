"""The two adapters alone, without encoder and decoder: what alignment trains, saves and scores."""

import math
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig

from fragmodel.alignment.pairs import Batch, Kind
from fragmodel.alignment.pooling import pool, pooled_width
from fragmodel.config.section import Pooling
from fragmodel.config.training import AdapterConfig
from fragmodel.digests import check_digests, note_digests
from fragmodel.errors import UserError
from fragmodel.files import atomic_path
from fragmodel.model.assemble import initial_adapters
from fragmodel.model.configuration import Esm2LlamaInstructConfig

WEIGHTS_FILE = "adapters.safetensors"


class AlignedAdapters(nn.Module):
    """Modality and fragment adapter as training starts from them, and the loss's learnt ``log_scale``.

    ``encoder`` and ``decoder`` are model folders; of the first only the width is read, of the second the token
    embeddings. Raises :class:`UserError` for heads that do not divide the decoder's width.
    """

    def __init__(
        self,
        encoder: Path,
        decoder: Path,
        adapter: AdapterConfig,
        *,
        pooling: Pooling = "mean_std",
        segments: int = 4,
        temperature: float = 0.05,
        seed: int = 1,
    ) -> None:
        super().__init__()
        config = Esm2LlamaInstructConfig(
            AutoConfig.from_pretrained(encoder, trust_remote_code=False),
            AutoConfig.from_pretrained(decoder, trust_remote_code=False),
            **adapter.model_dump(),
        )
        try:
            parts = initial_adapters(config, _token_embeddings(decoder), seed)
        except ValueError as error:
            raise UserError(f"adapter: {error}") from None
        self.modality_adapter, self.fragment_adapter = parts
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.pooling, self.segments = pooling, segments
        self.encoder_dim = config.esm_config.hidden_size
        self.width = pooled_width(config.llama_config.hidden_size, pooling, segments)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Vectors ``[n, width]`` (float32) of proteins, or of fragments where the batch has places."""
        states, mask = self.modality_adapter(batch.states), batch.mask
        if batch.places is not None:
            # Row 0 of each block is BOS: residue i is row i + 1.
            firsts = torch.arange(len(states), device=states.device)[:, None] * states.shape[1] + 1
            states = self.fragment_adapter(states.flatten(0, 1), batch.places + firsts)
            mask = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        return pool(states, mask, self.pooling, self.segments)

    def save(self, folder: Path, kinds: Collection[Kind]) -> None:
        """Write ``adapters.safetensors``: the adapters that pairs of these kinds have trained."""
        names = ["modality_adapter", *(["fragment_adapter"] if "fragment" in kinds else [])]
        tensors = {
            f"{name}.{key}": tensor.contiguous()
            for name in names
            for key, tensor in getattr(self, name).state_dict().items()
        }
        with atomic_path(folder / WEIGHTS_FILE) as path:
            save_file(tensors, path)
        note_digests(folder, [WEIGHTS_FILE])

    def load(self, folder: Path) -> "AlignedAdapters":
        """Take the weights that :meth:`save` wrote; an adapter that was not saved stays as it is."""
        check_digests(folder)
        tensors = load_file(folder / WEIGHTS_FILE)
        for name in ("modality_adapter", "fragment_adapter"):
            state = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            if state:
                getattr(self, name).load_state_dict(state)
        return self


def _token_embeddings(decoder: Path) -> torch.Tensor:
    """The decoder's token embeddings ``[vocabulary, dim]``, without its other weights."""
    check_digests(decoder)
    for path in sorted(decoder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (not a dict)
                if name.endswith("embed_tokens.weight"):
                    return tensors.get_tensor(name)
    raise UserError(f"{decoder}: no token embeddings in safetensors files")
