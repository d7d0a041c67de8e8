"""Training batches on their way to the model: ours beside a plain data set, without the model.

The plain data set is what one writes first: it renders and tokenises the conversation in every access, with the
placeholders written out as text, reads one `torch.load` file a protein and pads. Ours has tokenised every text when
it was made, puts placeholders in as ids, and packs rows of the memory-mapped store.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from benchmarks.measure import row
from benchmarks.store import first_reading, write_files, write_store
from fragmodel.batching.collator import FragDataCollator
from fragmodel.batching.dataset import FragRefDataset
from fragmodel.batching.packing import PackedCollator
from fragmodel.data.ingest import iter_records
from fragmodel.data.prompts import FRAGMENT, PROTEIN
from fragmodel.embeddings.store import EmbeddingStore, sequence_key
from fragmodel.model.chat import ChatEncoder, add_control_tokens
from fragmodel.model.stand_ins import train_tokenizer
from fragmodel.model.token_loss import IGNORED
from fragmodel.tables import RECORDS, Record

DIM = 480  # of ESM-2 35M
BATCH = 16
SAMPLE = Path(__file__).parents[1] / "data/sample/VenusX_Dom/train.json"
TASKS = ("referring_desc", "referring_class", "grounding_single", "grounding_group")


def run(quick: bool) -> list[dict]:
    """Rows of records/s by workers and by number of data sets, and of the seconds to the first batch."""
    torch.set_num_threads(1)
    records = _records(2_000 if quick else 20_000)
    texts = [turn["content"] for row in records for turn in row["conversation"]] + [
        r["answer"] for r in records
    ]
    tokenizer = train_tokenizer(sorted(set(texts)), 2048)
    add_control_tokens(tokenizer)
    sequences = sorted({row["sequence"] for row in records})
    with tempfile.TemporaryDirectory() as folder:
        files, root = Path(folder) / "files", Path(folder) / "store"
        write_files(files, sequences, DIM)
        store = write_store(root, sequences, DIM, "bfloat16")
        sides = {
            "ours": (_table, lambda table: _ours(table, tokenizer, store), PackedCollator()),
            "peer": (
                list,
                lambda rows: _Plain(rows, tokenizer, files),
                FragDataCollator(tokenizer.pad_token_id),
            ),
        }
        rows = []
        for workers in (0, 2, 4):
            rows.append(_compare(f"load with {workers} workers", sides, [records], workers))
        for parts in (1, 5, 20):
            dealt = [records[part::parts] for part in range(parts)]
            rows.append(_compare(f"load from {parts} data sets", sides, dealt, workers=0))
        for count in (len(records) // 10, len(records)):
            first = {
                side: _first_batch(make, collate, read(records[:count]))
                for side, (read, make, collate) in sides.items()
            }
            name = f"first batch after start, {count:,} records"
            rows.append(row(name, **first, unit="s", less=True))
        rows.append(_first_epoch(records, tokenizer, store, rounds=3 if quick else 15))
        return rows


def _first_epoch(records: list[dict], tokenizer: Any, store: EmbeddingStore, rounds: int) -> dict:
    """Each protein once, from a store whose states are checked on the way, beside one whose are not."""
    table = _table(list({row["sequence"]: row for row in records}.values()))

    def read(opened: EmbeddingStore) -> None:
        dataset.store = opened
        for _ in DataLoader(dataset, BATCH, shuffle=True, collate_fn=PackedCollator()):
            pass

    dataset = _ours(table, tokenizer, store)
    rates = first_reading(store, read, len(table), warm=True, rounds=rounds)
    return row("first epoch, checked beside unchecked", rates["yes"], rates["no"], "records/processor s")


def _compare(name: str, sides: dict[str, tuple], dealt: list[list[dict]], workers: int) -> dict:
    rates = {}
    for side, (read, make, collate) in sides.items():
        dataset = ConcatDataset([make(read(rows)) for rows in dealt])
        rates[side] = _rate(dataset, collate, workers)
    return row(name, **rates, unit="records/s")


def _rate(dataset: Dataset, collate: Callable, workers: int, seconds: float = 6.0) -> float:
    """Records a second after the first batches, in a random order."""
    draw = torch.Generator().manual_seed(1)
    loader = DataLoader(
        dataset, BATCH, shuffle=True, collate_fn=collate, num_workers=workers, generator=draw, drop_last=True
    )
    batches, count = iter(loader), 0
    for _ in range(2 * max(workers, 1)):
        next(batches)
    started = time.perf_counter()
    for _ in batches:
        count += BATCH
        if time.perf_counter() - started > seconds:
            break
    return count / (time.perf_counter() - started)


def _first_batch(make: Callable, collate: Callable, records: Any) -> float:
    """Seconds from the records in memory, as their file gives them, to the first batch."""
    started = time.perf_counter()
    next(iter(DataLoader(make(records), BATCH, shuffle=True, collate_fn=collate)))
    return time.perf_counter() - started


def sample_records() -> list[dict[str, Any]]:
    """The sample's training records of every task."""
    return [
        item._asdict()
        for task in TASKS
        for item in iter_records([SAMPLE], task=task, data_name="VenusX_Dom", split="train")
        if isinstance(item, Record)
    ]


def _records(count: int) -> list[dict[str, Any]]:
    """Those again and again, with names and answers of their own."""
    found = sample_records()
    return [
        {**found[n % len(found)], "record_id": f"r{n}", "answer": f"{found[n % len(found)]['answer']} {n}"}
        for n in range(count)
    ]


def _table(records: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(records, schema=RECORDS.remove_metadata())


def _ours(table: pa.Table, tokenizer: Any, store: EmbeddingStore) -> FragRefDataset:
    return FragRefDataset(table, ChatEncoder(tokenizer, 1), store=store)


class _Plain(Dataset):
    def __init__(self, records: list[dict], tokenizer: Any, files: Path) -> None:
        self.records, self.tokenizer, self.files = records, tokenizer, files

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self.records[index]
        residues = len(record["sequence"])
        messages = [
            {**turn, "content": turn["content"].replace(PROTEIN, PROTEIN * (residues + 2))}
            for turn in record["conversation"]
        ]
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        prompt = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        answer = self.tokenizer(record["answer"] + self.tokenizer.eos_token, add_special_tokens=False)[
            "input_ids"
        ]
        path = self.files / f"{sequence_key(record['sequence'])}.pt"
        states = torch.load(path, weights_only=True)["representations"][0]
        ends = torch.zeros(1, states.shape[1])
        return {
            "record_id": record["record_id"],
            "sequence": record["sequence"],
            "position_ref": record["position_ref"] if FRAGMENT in text else None,
            "input_ids": prompt + answer,
            "labels": [IGNORED] * len(prompt) + answer,
            "protein_hidden_states": torch.cat([ends, states, ends]),
        }


if __name__ == "__main__":
    print(json.dumps(run(quick=True), indent=2))
