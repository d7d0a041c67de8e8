"""What a rank does before its first step, by the number of records: seconds and peak memory.

The records are the sample's, again and again, each with an answer of its own, so that no text recurs but questions. A
start reads the Parquet file, gets every text's token ids, and makes one batch. Ours finds the ids that an earlier
start kept beside the file; the peer tokenises in memory. Each start is a process of its own, which gives its peak
memory (Python, torch and the tables included), on one thread.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import peak_memory, row

SIZES = (10_000, 100_000, 1_000_000)
BATCH = 16


def run(quick: bool) -> list[dict]:
    """Rows of seconds and MiB by the number of records; ``quick`` leaves out the million."""
    return [each for count in (SIZES[:2] if quick else SIZES) for each in of_size(count)]


def of_size(count: int) -> list[dict]:
    """Rows of one number of records: a later start and the very first one, beside the peer."""
    from fragmodel.tables import RECORDS, write_table

    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "train.parquet"
        write_table(records, RECORDS, _rows(count))
        _save_tokenizer(Path(folder) / "tokenizer")
        peer, first, later = (_measure(side, folder) for side in ("memory", "cache", "cache"))
    name = f"start with {count:,} records"
    return [
        row(f"{name}, the first", first["seconds"], peer["seconds"], "s", less=True),
        row(f"{name}, later", later["seconds"], peer["seconds"], "s", less=True),
        row(f"{name}, the first, peak memory", first["peak"], peer["peak"], "MiB", less=True),
        row(f"{name}, later, peak memory", later["peak"], peer["peak"], "MiB", less=True),
    ]


def _measure(side: str, folder: str) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.scale", side, folder]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    )
    return json.loads(done.stdout.splitlines()[-1])


def _start(side: str, folder: Path) -> dict[str, float]:
    import torch
    from torch.utils.data import DataLoader
    from transformers import AutoTokenizer

    from fragmodel.batching import token_cache
    from fragmodel.batching.dataset import FragRefDataset
    from fragmodel.batching.packing import PackedCollator
    from fragmodel.model.chat import ChatEncoder

    torch.set_num_threads(1)
    token_cache.FEWEST_RECORDS = 1 if side == "cache" else sys.maxsize
    chat = ChatEncoder(AutoTokenizer.from_pretrained(folder / "tokenizer"), 1)
    started = time.perf_counter()
    dataset = FragRefDataset.from_files([folder / "train.parquet"], chat)
    next(iter(DataLoader(dataset, BATCH, shuffle=True, collate_fn=PackedCollator())))
    return {"seconds": time.perf_counter() - started, "peak": peak_memory()}


def _rows(count: int) -> Iterator[dict[str, Any]]:
    from benchmarks.loading import sample_records

    found = sample_records()
    for number in range(count):
        record = found[number % len(found)]
        yield {**record, "record_id": f"r{number}", "answer": f"{record['answer']} {number}"}


def _save_tokenizer(folder: Path) -> None:
    from fragmodel.model.chat import add_control_tokens
    from fragmodel.model.stand_ins import train_tokenizer

    rows = list(_rows(2_000))
    texts = {turn["content"] for record in rows for turn in record["conversation"]}
    tokenizer = train_tokenizer(sorted(texts | {record["answer"] for record in rows}), 2048)
    add_control_tokens(tokenizer)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    print(json.dumps(_start(sys.argv[1], Path(sys.argv[2]))))
