"""The systems beside the model at the size of a whole data set: time and peak memory, beside what their rule asks for.

Real records of the sample are multiplied: each copy of a protein has other residues in 5 to 40 % of its places, so that
it has relatives and keeps its fragments. States are a table's rows, one for each letter: what is measured is the work
on them, not the reading (see the benchmark `store`). Each system runs in a process of its own, with one thread; time is
that of the CPU, of MMseqs2 too, and depends little on what else the machine does. Memory is that of the larger of both.
"""

import multiprocessing
import os
import random
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import peak_memory, row
from fragmodel.data.ingest import TaskTables, ingest_tasks
from fragmodel.tables import RECORDS, open_writer, read_rows

SIZES = {"train": 500_000, "test": 100_000}  # fragments of the whole
PARTS = (1 / 20, 1 / 10, 1)  # of that, in turn
UP_TO = {"alignment": 1 / 10}  # the largest part of a system that takes hours for the whole
TASKS = ("referring_class", "grounding_single")
DIM = 320
# Of the rule `baselines`: its runtime, its mem_mb, and the multiple of the inputs in that.
MINUTES, MEGABYTES, FACTOR = 240, 2500, 120
_SAMPLE = Path("data/sample/VenusX_Dom")
_LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def run(quick: bool) -> list[dict]:
    """CPU seconds and MiB of each system for each part of the whole; the peer is the rule's limit for that part."""
    from fragmodel.evaluation.baselines import NAMES

    rows = []
    for part in PARTS[:1] if quick else PARTS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            tables = {split: write_copies(folder, split, round(size * part)) for split, size in SIZES.items()}
            size = sum(path.stat().st_size for paths in tables.values() for path in paths) / 1e6
            what = f"{round(SIZES['test'] * part):,} of {round(SIZES['train'] * part):,}"
            for system in (name for name in NAMES if part <= UP_TO.get(name, 1)):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    seconds, memory = pool.apply(measure, (system, tables, folder / "out.parquet"))
                print(f"{system}, {what}: {seconds:.0f} CPU s, {memory:.0f} MiB", file=sys.stderr, flush=True)
                rows.append(row(f"{system}, {what}, CPU time", seconds, MINUTES * 60 * part, "s", less=True))
                limit = (MEGABYTES + FACTOR * size) / 1.048576
                rows.append(row(f"{system}, {what}, peak memory", memory, limit, "MiB", less=True))
    return rows


class LetterStates:
    """A row of states for each letter, in the place of :class:`fragmodel.embeddings.store.EmbeddingStore`."""

    def __init__(self, *_: Any) -> None:
        self._rows = np.random.default_rng(1).normal(size=(128, DIM)).astype(np.float32)

    def get(self, sequence: str) -> Any:
        import torch

        return torch.from_numpy(self._rows[np.frombuffer(f"<{sequence}>".encode(), dtype=np.uint8)])


def measure(system: str, tables: dict[str, list[Path]], output: Path) -> tuple[float, float]:
    """CPU seconds and peak MiB of one system, in this process."""
    import torch

    import fragmodel.embeddings.store as store
    from fragmodel.evaluation.baselines import run_baselines

    torch.set_num_threads(1)
    store.EmbeddingStore = LetterStates
    started = os.times()
    run_baselines(
        tables["train"],
        tables["test"],
        names=[system],
        store=output,
        fingerprint=None,
        output=output,
    )
    of_programs = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return sum(os.times()[:4]) - sum(started[:4]), max(peak_memory(), of_programs)


def write_copies(folder: Path, split: str, fragments: int) -> list[Path]:
    """Tables of all tasks with copies of the sample's proteins, until there are so many fragments."""
    originals = _originals(folder, split)
    of_copy = len(originals[TASKS[0]])
    paths = []
    for task, records in originals.items():
        path = folder / f"{split}-{task}.parquet"
        with open_writer(path, RECORDS, {}) as writer:
            for copy in range(-(-fragments // of_copy)):
                for record in _copied(records, split, copy):
                    writer.write(record)
        paths.append(path)
    return paths


def _originals(folder: Path, split: str) -> dict[str, list[dict]]:
    outputs = {
        task: TaskTables(folder / f"{task}.parquet", folder / f"{task}.rejects.parquet") for task in TASKS
    }
    ingest_tasks([_SAMPLE / f"{split}.json"], outputs, data_name="VenusX_Dom", split=split)
    return {task: read_rows(outputs[task].records, RECORDS) for task in TASKS}


def _copied(records: list[dict], split: str, copy: int) -> Iterator[dict]:
    """The records of one copy; one window's residues change alike in all of its records."""
    for record in records:
        dice = random.Random(f"{split} {copy} {record['uid']} {record['start']}")
        share = dice.uniform(0.05, 0.4)
        letters = [
            dice.choice(_LETTERS) if dice.random() < share else letter for letter in record["sequence"]
        ]
        ids = {name: f"{record[name]}-{copy}" for name in ("record_id", "uid")}
        yield {**record, **ids, "sequence": "".join(letters)}
