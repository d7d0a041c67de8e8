"""`make bench`, or `python -m benchmarks [NAME …] [--quick]`: every benchmark, each with its peer in the same run."""

import argparse
import importlib
import json
import platform
import sys
import time
from pathlib import Path

NAMES = (
    "ingest",
    "embed",
    "store",
    "precision",
    "loading",
    "scale",
    "train",
    "train_gpu",
    "generate",
    "grammar",
    "alignment",
    "baselines",
)
OUTPUT = Path("results/benchmarks")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(NAMES)} (all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, a few minutes in all")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of the JSON files ({OUTPUT})")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.names or NAMES:
        print(f"{name} on {_machine()} …", file=sys.stderr, flush=True)
        started = time.perf_counter()
        rows = importlib.import_module(f"benchmarks.{name}").run(options.quick)
        (options.output / f"{name}.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        for row in rows:
            print(
                f"{row['name']:<64} {row['ours']:>12,.4g} {row['peer']:>12,.4g} {row['unit']:<12} ×{row['ratio']:.2f}"
            )
        print(
            f"{name}: {time.perf_counter() - started:.0f} s → {options.output / name}.json", file=sys.stderr
        )


def _machine() -> str:
    import os

    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"
    return f"{device}, {platform.machine()}"


if __name__ == "__main__":
    main()
