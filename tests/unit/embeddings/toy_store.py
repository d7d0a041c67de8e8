"""A store of random states, made without an encoder."""

from pathlib import Path

import torch

from fragmodel.embeddings.shards import encode_states, write_shard
from fragmodel.embeddings.store import describe, sequence_key, write_description

DIM = 8


def make_store(root: Path, proteins: dict[str, int], dtype: str = "float32", name: str = "f" * 32) -> dict:
    """A store with one shard of random states; returns them by sequence."""
    folder = root / name
    write_description(folder, describe(name, encoder="toy.pt", weights="0", layer=1, dtype=dtype, dim=DIM))
    states = {
        sequence: torch.randn(len(sequence) + 2, DIM, generator=torch.Generator().manual_seed(seed))
        for sequence, seed in proteins.items()
    }
    blocks = [encode_states(block, dtype) for block in states.values()]
    write_shard(folder, [sequence_key(sequence) for sequence in states], blocks, dtype)
    return states
