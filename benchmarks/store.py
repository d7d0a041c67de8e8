"""Reading training batches at random: the embedding store beside one `torch.load` per protein.

The peer's files are those of fair-esm's documented extraction (float32, a file for each protein). Cold means that
the files' pages were dropped from the page cache before every batch, as with a store far larger than memory.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from fragmodel.embeddings.shards import encode_states, write_shard
from fragmodel.embeddings.store import EmbeddingStore, describe, sequence_key, write_description

DIM = 1280  # of esm2_t33_650M
BATCH = 16


def run(quick: bool) -> list[dict]:
    """Rows of residues/s, warm and cold, for every stored dtype."""
    proteins = _proteins(150 if quick else 600)
    seconds = 1.0 if quick else 5.0
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_files(root / "files", proteins)
        for dtype in ("bfloat16", "float32", "int8"):
            _write_store(root / dtype, proteins, dtype)
        for warm in (True, False):
            peer = _rate(
                lambda protein: _load(root / "files", protein), root / "files", proteins, warm, seconds
            )
            for dtype in ("bfloat16", "float32", "int8"):
                ours = _rate(EmbeddingStore(root / dtype).get, root / dtype, proteins, warm, seconds)
                rows.append(
                    {
                        "name": f"read {dtype} at random, {'warm' if warm else 'cold'}",
                        "ours": round(ours),
                        "peer": round(peer),
                        "unit": "residues/s",
                        "ratio": round(ours / peer, 2),
                    }
                )
    return rows


def _proteins(count: int) -> list[str]:
    draw = random.Random(0)
    lengths = (min(1021, max(30, int(draw.lognormvariate(5.7, 0.65)))) for _ in range(count))
    return ["".join(draw.choices("LAGVSERTIDPKQNFYMHWC", k=length)) for length in lengths]


def _states(protein: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(int(sequence_key(protein)[:8], 16))
    return torch.randn(len(protein) + 2, DIM, generator=generator)


def _write_files(folder: Path, proteins: list[str]) -> None:
    folder.mkdir()
    for protein in proteins:
        content = {"label": "", "representations": {33: _states(protein)[1:-1].clone()}}
        torch.save(content, folder / f"{sequence_key(protein)}.pt")


def _write_store(root: Path, proteins: list[str], dtype: str) -> None:
    name = "0" * 32
    about = describe(name, encoder="benchmark", weights="", layer=33, dtype=dtype, dim=DIM)
    write_description(root / name, about)
    for start in range(0, len(proteins), 100):
        part = proteins[start : start + 100]
        blocks = [encode_states(_states(protein), dtype) for protein in part]
        write_shard(root / name, [*map(sequence_key, part)], blocks, dtype)


def _load(folder: Path, protein: str) -> torch.Tensor:
    return torch.load(folder / f"{sequence_key(protein)}.pt", weights_only=True)["representations"][33]


def _rate(
    read: Callable[[str], torch.Tensor], folder: Path, proteins: list[str], warm: bool, seconds: float
) -> float:
    """Residues a second of random batches; dropping the pages is not timed."""
    draw = random.Random(1)
    if warm:
        for protein in proteins:
            read(protein)
    residues, used = 0, 0.0
    while used < seconds:
        batch = draw.sample(proteins, BATCH)
        if not warm:
            _drop_pages(folder)
        started = time.perf_counter()
        for protein in batch:
            read(protein)
        used += time.perf_counter() - started
        residues += sum(map(len, batch))
    return residues / used


def _drop_pages(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)  # only pages that are on disk can be dropped
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
