"""The error of the training loss that each stored number format makes.

The same short training, from the explicit loop, with states from a float32, a bfloat16 and an int8 store and with the
encoder in the loop; the error is the mean difference of a step's loss from that of the float32 store. The yardstick
is the difference that another seed (of batches, adapters and dropout) makes.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import row

ROOT = Path(__file__).parent.parent
SHAPE = {"layers": 6, "dim": 320, "heads": 20}  # esm2_t6_8M
FAMILIES = ("Act", "Motif")


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows of the mean difference in the loss of a step, in nats a token; `quick` trains a third of the steps."""
    steps = 20 if quick else 60
    with tempfile.TemporaryDirectory(prefix="fragmodel-precision-") as name:
        folder = Path(name)
        records, encoder, decoder = _materials(folder)
        losses = {
            dtype: _train(folder, dtype, records, encoder, decoder, steps)
            for dtype in ("float32", "bfloat16", "int8", "in_loop")
        }
        other_seed = _train(folder, "float32", records, encoder, decoder, steps, seed=2)
    exact = losses.pop("float32")
    yardstick = _difference(other_seed, exact)
    rows = []
    for dtype, found in losses.items():
        error = _difference(found, exact)
        name = (
            f"error of the training loss, {dtype}, beside another seed's ({steps} steps, loss "
            f"{exact[0]:.2f} to {exact[-1]:.2f})"
        )
        rows.append(row(name, max(error, 1e-9), yardstick, "nats a token", less=True))
    return rows


def _difference(one: list[float], other: list[float]) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def _materials(folder: Path) -> tuple[list[Path], Path, Path]:
    """Records of real proteins, an encoder of ESM-2 8M shape and a small decoder that knows the words."""
    from fragmodel.data.ingest import ingest
    from fragmodel.embeddings.encoders import build_stand_in
    from fragmodel.model.sources import make_decoder

    records = []
    for family in FAMILIES:
        for task in ("referring_class", "grounding_single"):
            records.append(folder / f"{family}-{task}.parquet")
            ingest(
                [ROOT / "data" / "sample" / f"VenusX_{family}" / "train.json"],
                task=task,  # type: ignore[arg-type]
                data_name=f"VenusX_{family}",
                split="train",
                output=records[-1],
                rejects=folder / "rejects.parquet",
            )
    encoder, decoder = folder / "esm2_t6_8M.pt", folder / "decoder"
    build_stand_in(encoder, **SHAPE, seed=1)
    shape = {"vocab_size": 1024, "layers": 2, "dim": 128, "heads": 4, "epochs": 1, "seed": 1}
    make_decoder("stand-in", decoder, records=records, **shape)  # type: ignore[arg-type]
    return records, encoder, decoder


def _train(
    folder: Path, dtype: str, records: list[Path], encoder: Path, decoder: Path, steps: int, seed: int = 1
) -> list[float]:
    """Loss of every step."""
    options = ["--esm_path", encoder, "--llama_path", decoder, "--output_dir", folder / f"{dtype}-{seed}"]
    options += ["--train_files", *records, "--max_steps", steps, "--logging_steps", 1, "--seed", seed]
    options += ["--per_device_train_batch_size", 4, "--learning_rate", 2e-3, "--max_text_tokens", 48]
    options += [
        "--intermediate_dim",
        256,
        "--num_perceiver_heads",
        4,
        "--report_to",
        "none",
        "--lora_rank",
        8,
    ]
    if dtype != "in_loop":
        options += [
            "--store",
            folder / "store",
            "--store_fingerprint",
            _embed(folder, records, encoder, dtype),
        ]
    program = [sys.executable, str(ROOT / "workflow_scripts" / "train_instruct.py")]
    paths = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*program, *map(str, options)], check=True, capture_output=True, env=paths)
    lines = (folder / f"{dtype}-{seed}" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


def _embed(folder: Path, records: list[Path], encoder: Path, dtype: str) -> str:
    from fragmodel.embeddings.extract import embed_sequences
    from fragmodel.embeddings.sequences import read_sequences

    sequences = [sequence for path in records for sequence in read_sequences(path)]
    return embed_sequences(sequences, encoder=encoder, store=folder / "store", dtype=dtype).fingerprint


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
