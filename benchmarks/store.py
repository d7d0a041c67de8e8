"""Reading training batches at random: the embedding store beside one `torch.load` per protein.

The peer's files are those of fair-esm's documented extraction (float32, a file for each protein). Cold means that
the files' pages were dropped from the page cache before every batch, as with a store far larger than memory.

The first reading checks each block: its rows stand beside the same reading without the check.
"""

import functools
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from benchmarks.measure import row
from fragmodel.digests import SWITCH
from fragmodel.embeddings.shards import DTYPES, encode_states, write_shard
from fragmodel.embeddings.store import EmbeddingStore, describe, sequence_key, write_description

DIMS = {"esm2_t12_35M": 480, "esm2_t33_650M": 1280}
BATCH = 16


def run(quick: bool) -> list[dict]:
    """Rows of residues/s, warm and cold: packed batches as training reads them, float32 proteins, views of the map."""
    torch.set_num_threads(1)  # as in a dataloader worker
    return [row for name, dim in DIMS.items() for row in _run_shape(name, dim, quick)]


def _run_shape(name: str, dim: int, quick: bool) -> list[dict]:
    proteins = _proteins(150 if quick else 600)
    seconds = 0.5 if quick else 3.0
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        write_files(files, proteins, dim)
        stores = {dtype: write_store(Path(folder) / dtype, proteins, dim, dtype) for dtype in DTYPES}
        sides = {"packed batches": _pack, "single proteins": list, "views without a copy": tuple}
        for (what, use), warm in itertools.product(sides.items(), (True, False)):
            peer = _rate(functools.partial(_read_files, files, use), files, proteins, warm, seconds)
            for dtype, store in stores.items():
                ours = _rate(functools.partial(_read_store, store, use), store, proteins, warm, seconds)
                about = f"read {name} {dtype}, {what}, {'warm' if warm else 'cold'}"
                rows.append(row(about, ours, peer, "residues/s"))
        for warm in (True, False):
            read = functools.partial(_in_batches, proteins=proteins)
            residues, rounds = sum(map(len, proteins)), 3 if quick else 15
            rates = first_reading(stores["bfloat16"], read, residues, warm, rounds)
            about = f"read {name} bfloat16 first, checked beside unchecked, {'warm' if warm else 'cold'}"
            rows.append(row(about, rates["yes"], rates["no"], "residues/processor s"))
    return rows


def first_reading(
    store: EmbeddingStore, read: Callable[[EmbeddingStore], object], amount: int, warm: bool, rounds: int
) -> dict[str, float]:
    """What ``read`` takes from a newly opened store for each processor second, of ``amount`` in all: medians.

    With the check and without, in turn. What waits for the disk is no processor time.
    """
    seconds: dict[str, list[float]] = {"yes": [], "no": []}
    before = os.environ.get(SWITCH)
    for _ in range(rounds):
        for switch, taken in seconds.items():
            os.environ[SWITCH] = switch
            opened = EmbeddingStore(store.root)
            assert len(opened)  # reads the indexes
            if not warm:
                _drop_pages(opened)
            started = time.process_time()
            read(opened)
            taken.append(time.process_time() - started)
    os.environ.pop(SWITCH)
    if before is not None:
        os.environ[SWITCH] = before
    return {switch: amount / statistics.median(taken) for switch, taken in seconds.items()}


def _in_batches(store: EmbeddingStore, proteins: list[str]) -> None:
    for start in range(0, len(proteins), BATCH):
        batch = proteins[start : start + BATCH]
        store.read_ahead(batch)
        _pack(map(store.view, batch))


def _pack(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """All rows one after the other, in the dtype they come in, as the collator makes it."""
    return torch.cat(list(tensors))


def _proteins(count: int) -> list[str]:
    draw = random.Random(0)
    lengths = (min(1021, max(30, int(draw.lognormvariate(5.7, 0.65)))) for _ in range(count))
    return ["".join(draw.choices("LAGVSERTIDPKQNFYMHWC", k=length)) for length in lengths]


def _states(protein: str, dim: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(int(sequence_key(protein)[:8], 16))
    return torch.randn(len(protein) + 2, dim, generator=generator)


def write_files(folder: Path, proteins: list[str], dim: int) -> None:
    folder.mkdir()
    for protein in proteins:
        content = {"label": "", "representations": {0: _states(protein, dim)[1:-1].clone()}}
        torch.save(content, folder / f"{sequence_key(protein)}.pt")


def write_store(root: Path, proteins: list[str], dim: int, dtype: str) -> EmbeddingStore:
    name = "0" * 32
    about = describe(name, encoder="benchmark", weights="", layer=1, dtype=dtype, dim=dim)
    write_description(root / name, about)
    for start in range(0, len(proteins), 100):
        part = proteins[start : start + 100]
        blocks = [encode_states(_states(protein, dim), dtype) for protein in part]
        write_shard(root / name, [*map(sequence_key, part)], blocks, dtype)
    return EmbeddingStore(root)


def _read_files(folder: Path, use: Callable, batch: list[str]) -> object:
    paths = (folder / f"{sequence_key(protein)}.pt" for protein in batch)
    return use(torch.load(path, weights_only=True)["representations"][0] for path in paths)


def _read_store(store: EmbeddingStore, use: Callable, batch: list[str]) -> object:
    # Packing copies anyway; a protein alone is float32 in memory of its own, as torch.load gives it.
    return use(map(store.get if use is list else store.view, batch))


def _rate(
    read: Callable[[list[str]], object],
    source: Path | EmbeddingStore,
    proteins: list[str],
    warm: bool,
    seconds: float,
) -> float:
    """Residues a second of random batches; dropping the pages is not timed."""
    draw = random.Random(1)
    if warm:
        read(proteins)
    residues, used = 0, 0.0
    while used < seconds:
        batch = draw.sample(proteins, BATCH)
        if not warm:
            _drop_pages(source)
        started = time.perf_counter()
        read(batch)
        used += time.perf_counter() - started
        residues += sum(map(len, batch))
    return residues / used


def _drop_pages(source: Path | EmbeddingStore) -> None:
    if isinstance(source, EmbeddingStore):
        source.close()  # mapped pages stay in the cache
    folder = source.folder if isinstance(source, EmbeddingStore) else source
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)  # only pages that are on disk can be dropped
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
