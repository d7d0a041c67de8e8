"""Bulk embedding on this machine: `fragmodel embed` beside fair-esm's documented extraction, and esm.cpp.

Same weights (seeded, true ESM-2 shapes), same real sequences, same run. Every measurement is a process of its own,
which gives its peak memory; the sides alternate and the best round of each counts. Loading is left out. esm.cpp, where
it is installed, embeds the same sequences in the same order for half a minute: without AVX-512 it is very slow.

On a machine with a CUDA device both sides run on it, on more and generated sequences of Swiss-Prot's lengths; peak
memory is then the device's.

With FRAGMODEL_BENCH_ONE_CORE set every side has one thread and is measured in processor time, which other programs on
the machine hardly change.
"""

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import matmul_rate, peak_memory, row

SHAPES = {"esm2_t6_8M": (6, 320, 20), "esm2_t12_35M": (12, 480, 20), "esm2_t33_650M": (33, 1280, 20)}
RESIDUES = {"esm2_t6_8M": 60_000, "esm2_t12_35M": 30_000, "esm2_t33_650M": 6_000}
LONGEST = 1021
SIDES = ("fair-esm", "float32", "bfloat16")
ENGINE = ("esm.cpp float32", "esm.cpp int8")
ENGINE_SECONDS = 30.0
ONE_CORE = bool(os.environ.get("FRAGMODEL_BENCH_ONE_CORE"))
clock = time.process_time if ONE_CORE else time.perf_counter


def run(quick: bool) -> list[dict]:
    """Rows of speed, peak memory and bytes written; `quick` takes a quarter of the residues and leaves out 650M."""
    from fragmodel.embeddings.encoders import build_stand_in

    rows = []
    for name, (layers, dim, heads) in SHAPES.items():
        if quick and name.endswith("650M"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            encoder, fasta = Path(folder) / f"{name}.pt", Path(folder) / "proteins.fasta"
            build_stand_in(encoder, layers=layers, dim=dim, heads=heads, seed=1)
            on_gpu = _device() == "cuda"
            pool = _generated() if on_gpu else _sequences()
            _write_fasta(fasta, pool, RESIDUES[name] * (40 if on_gpu else 1) // (4 if quick else 1))
            best: dict[str, dict] = {}
            for _ in range(2 if quick else 3):
                for side in SIDES:
                    result = _measure(side, encoder, fasta)
                    if side not in best or result["rate"] > best[side]["rate"]:
                        best[side] = result
            if importlib.util.find_spec("esm_cpp") and not on_gpu and not name.endswith("650M"):
                best |= {side: _measure(side, encoder, fasta) for side in ENGINE}
            rows += _rows(name, best, layers, dim)
    return rows


def _rows(name: str, best: dict[str, dict], layers: int, dim: int) -> list[dict]:
    peer, rows = best["fair-esm"], []
    for side in ("float32", "bfloat16"):
        ours = best[side]
        about = f"embed {name} {side}"
        rows += [
            row(about, ours["rate"], peer["rate"], "residues/s"),
            row(f"{about}, peak memory", ours["peak"], peer["peak"], "MiB", less=True),
            row(f"{about}, written per residue", ours["bytes"], peer["bytes"], "bytes", less=True),
        ]
        # Multiply-adds of the linear layers (12 dim² a layer) and of attention (2 × mean partner rows × dim).
        flop = 2 * layers * (12 * dim**2 + 2 * ours["partners"] * dim)
        limit = _limit(side, dim) / flop
        rows.append(
            row(f"{about}, beside the limit by the measured matmul rate", ours["rate"], limit, "residues/s")
        )
        rows += [
            row(f"{about}, beside {engine}", ours["rate"], best[engine]["rate"], "residues/s")
            for engine in ENGINE
            if engine in best
        ]
    return rows


def _device() -> str:
    import torch

    return "cuda" if not ONE_CORE and torch.cuda.is_available() else "cpu"


def _limit(dtype: str, dim: int) -> float:
    import torch

    if ONE_CORE:
        torch.set_num_threads(1)
    return matmul_rate(dim, dtype, device=_device(), clock=clock)


def _write_fasta(path: Path, sequences: list[str], residues: int) -> None:
    """Every n-th of the sequences sorted by length, so that a small sample has the same distribution."""
    pool = sorted(sequences, key=lambda sequence: (len(sequence), sequence))
    step = max(1, round(sum(map(len, pool)) / residues))
    chosen = pool[step // 2 :: step]
    random.Random(0).shuffle(chosen)
    path.write_text("".join(f">{number}\n{sequence}\n" for number, sequence in enumerate(chosen)))


def _sequences() -> list[str]:
    """Distinct proteins of the shipped sample, cut to the longest window."""
    sample = Path(__file__).parent.parent / "data" / "sample"
    found = {
        entry["sequence"][:LONGEST]
        for path in sample.glob("VenusX_*/*.json")
        for entry in json.loads(path.read_text(encoding="utf-8"))
    }
    return sorted(found) or _generated()


def _generated() -> list[str]:
    """Lengths near Swiss-Prot's: log-normal with median 300."""
    draw = random.Random(0)
    lengths = (min(LONGEST, max(30, int(draw.lognormvariate(5.7, 0.65)))) for _ in range(2000))
    return ["".join(draw.choices("LAGVSERTIDPKQNFYMHWC", k=length)) for length in lengths]


def _measure(side: str, encoder: Path, fasta: Path) -> dict:
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.embed", side]
        threads = {"OMP_NUM_THREADS": "1"} if ONE_CORE else {}
        done = subprocess.run(
            [*command, str(encoder), str(fasta), output],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | threads,
            cwd=Path(__file__).parents[1],
        )
    return json.loads(done.stdout.splitlines()[-1])


def _fair_esm(encoder: Path, fasta: Path, output: Path) -> float:
    """fair-esm's own data set, batches and model, a file for each protein; returns seconds."""
    import esm
    import torch

    with torch.serialization.safe_globals([argparse.Namespace]):
        model, alphabet = esm.pretrained.load_model_and_alphabet(str(encoder))
    model.eval().to(_device())
    started = clock()
    dataset = esm.FastaBatchedDataset.from_file(fasta)
    loader = torch.utils.data.DataLoader(
        dataset,
        collate_fn=alphabet.get_batch_converter(1022),
        batch_sampler=dataset.get_batch_indices(4096, extra_toks_per_seq=1),
    )
    last = model.num_layers
    with torch.no_grad():
        for labels, sequences, tokens in loader:
            states = model(tokens.to(_device()), repr_layers=[last])["representations"][last].cpu()
            for label, sequence, rows in zip(labels, sequences, states, strict=True):
                residues = rows[1 : len(sequence) + 1].clone()
                torch.save({"label": label, "representations": {last: residues}}, output / f"{label}.pt")
    return clock() - started


def _esm_cpp(encoder: Path, lengths: list[int], fasta: Path, output: Path, int8: bool) -> float:
    """esm.cpp's packed forward pass (to logits: it gives no states of a batch) until the time is over; returns seconds
    and shortens ``lengths`` to the sequences that were done.
    """
    import esm_cpp
    import numpy as np
    from safetensors.torch import save_file
    from transformers import EsmForMaskedLM

    from fragmodel.embeddings.encoders import load_encoder
    from fragmodel.embeddings.sequences import read_sequences

    source = load_encoder(encoder)
    whole = EsmForMaskedLM(source.config)
    whole.esm.load_state_dict(source.state_dict(), strict=False)
    weights = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    for layer in range(source.config.num_hidden_layers):  # the layout of the published files
        name = f"esm.encoder.layer.{layer}.attention.self.rotary_embeddings.inv_freq"
        weights[name] = source.rotary_embeddings.inv_freq.clone()
    save_file(weights, output / "model.safetensors")
    model, tokenizer = (
        esm_cpp.Model.load_from_safetensors(str(output / "model.safetensors")),
        esm_cpp.Tokenizer(),
    )
    (output / "model.safetensors").unlink()
    if int8:
        model.quantize_weights()
    tokens = [np.asarray(tokenizer.encode(sequence), dtype=np.int32) for sequence in read_sequences(fasta)]
    started, done = clock(), 0
    while done < len(tokens) and clock() - started < ENGINE_SECONDS:
        batch = tokens[done : done + 4]
        model.forward_scheduled(batch)
        done += len(batch)
    del lengths[done:]
    return clock() - started


def _peak_memory() -> float:
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if _device() == "cuda" else peak_memory()


def _worker(side: str, encoder: Path, fasta: Path, output: Path) -> dict:
    from fragmodel.embeddings import extract
    from fragmodel.embeddings.extract import embed_sequences
    from fragmodel.embeddings.sequences import read_sequences

    extract.monotonic = clock
    lengths = [len(sequence) for sequence in read_sequences(fasta)]
    if side == "fair-esm":
        seconds = _fair_esm(encoder, fasta, output)
    elif side in ENGINE:
        seconds = _esm_cpp(encoder, lengths, fasta, output, side.endswith("int8"))
    else:
        options = {"dtype": side, "compute_dtype": side, "device": _device()}
        seconds = embed_sequences(read_sequences(fasta), encoder=encoder, store=output, **options).seconds
    written = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return {
        "rate": sum(lengths) / seconds,
        "peak": _peak_memory(),
        "bytes": written / sum(lengths),
        "partners": sum(length**2 for length in lengths) / sum(lengths),
    }


if __name__ == "__main__":
    if len(sys.argv) == 5:
        print(json.dumps(_worker(sys.argv[1], *map(Path, sys.argv[2:]))))
    else:
        print(json.dumps(run("--quick" in sys.argv), indent=2))
