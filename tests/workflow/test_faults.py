"""Faults from outside: killed processes, flipped bytes, a full disk. Nothing is lost, nothing changes in silence.

Kills and flips are drawn with a seed; FRAGMODEL_FAULTS_SEED takes another.
"""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from workflow_copy import Workflow, choose_proteins

from fragmodel import tables
from fragmodel.alignment.texts import embed_texts
from fragmodel.digests import SUMS
from fragmodel.planning.lock import LOCKS, lock_finding
from fragmodel.prediction.export import export_model
from fragmodel.training.log import read_log
from fragmodel.workflow.verify import verify_run

pytestmark = pytest.mark.slow

# By default training is hit by a signal that may be caught, and by one that may not.
SEED = int(os.environ.get("FRAGMODEL_FAULTS_SEED", "45"))
# A run is killed in each of these jobs, by their logs.
STAGES = ("ingest", "embeddings", "training.log", "training.log", "generate")
# In training at one of these steps: before the first checkpoint, and behind it.
STEPS = ((1, 3), (5, 11))
FLIPS = 4  # of each file
PATIENCE = 600  # seconds in which all processes of a killed run must be gone, however busy the machine is
# For people, or the contents make no difference: no program reads them for a result.
UNREAD = {"logs", "benchmarks", "figures", "tables", "runs", "README.md", "texts.json", "finished", ".lock"}
UNREAD |= {".contents.json", "..contents.json.sha256"}  # what it says wrong is made out anew
SHAPES = {"vocab_size": 400, "encoder_layers": 2, "encoder_dim": 32, "encoder_heads": 2}
SHAPES |= {"decoder_layers": 2, "decoder_dim": 64, "decoder_heads": 2, "decoder_epochs": 0}
CONFIG = {
    "datasets": {
        "VenusX_Dom": {split: "raw/proteins.json" for split in ("train", "valid", "test")}
        | {"tasks": ["referring_class"]}
    },
    "models": {"stand_in": SHAPES},
    "adapter": {"intermediate_dim": 64},
    "training": {"max_steps": 12, "checkpoint_steps": 4, "log_steps": 1, "probe_records": 0}
    | {"batch_size": 1, "gradient_accumulation": 2, "workers": 1},
    "evaluation": {"max_new_tokens": 8, "bootstrap_samples": 10, "baselines": [], "calibration_records": 0},
}
RUN = ("--cores", "1", "evaluate")


def fresh(folder: Path) -> Workflow:
    """A run of which nothing is made yet."""
    (folder / "raw").mkdir()
    (folder / "raw/proteins.json").write_text(json.dumps(choose_proteins("VenusX_Dom", 2)))
    return Workflow(folder, CONFIG)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The run to the end in one go."""
    workflow = fresh(tmp_path_factory.mktemp("undisturbed"))
    workflow.snakemake(*RUN)
    return workflow


def draws() -> Iterator[tuple[str, signal.Signals, str]]:
    """For each stage a signal and whom it hits, such that each of either occurs."""
    draw = random.Random(SEED)
    numbers = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
    targets = ["tree", "main", "job"]
    chosen = [[*kinds, *draw.choices(kinds, k=len(STAGES) - len(kinds))] for kinds in (numbers, targets)]
    for each in chosen:
        draw.shuffle(each)
    yield from zip(STAGES, *chosen, strict=True)


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The same run, killed again and again on its way."""
    workflow = fresh(tmp_path_factory.mktemp("killed"))
    draw, steps = random.Random(SEED), iter(STEPS)
    for stage, number, target in draws():
        step = draw.randint(*next(steps)) if stage == "training.log" else 0
        kill(workflow, stage, step, number, target, wait=draw.uniform(0, 2))
    workflow.snakemake(*RUN)
    return workflow


def kill(workflow: Workflow, stage: str, step: int, number: signal.Signals, target: str, wait: float) -> None:
    """Start the run, wait for a job of ``stage``, or for its ``step``, and send the signal: all processes end."""
    told = f"{number.name} of {target} in {stage}, step {step}, {wait:.2f} s later (seed {SEED})"
    said, began = workflow.folder / "said", time.time()
    with said.open("w") as output:
        main = psutil.Popen(
            [sys.executable, "-m", "snakemake", "--configfile", "run.yaml", *RUN],
            cwd=workflow.folder,
            env=environment(workflow),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while not (is_reached(workflow.results, stage, step, began) and main.children()):
        assert main.poll() is None, f"{told}: ended before\n{said.read_text()[-3000:]}"
        time.sleep(0.05)
    time.sleep(0 if step else wait)
    jobs = main.children()
    family = [main, *main.children(recursive=True)]
    if target == "tree":
        os.killpg(main.pid, number)
    else:
        (jobs[0] if jobs and target == "job" else main).send_signal(number)
    until = time.monotonic() + PATIENCE
    try:
        while main.poll() is None or any(map(is_alive, family)):
            assert time.monotonic() < until, f"{told}: {[*filter(is_alive, family)]} did not end"
            time.sleep(0.1)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(main.pid, signal.SIGKILL)
    if any((workflow.folder / LOCKS).glob("*")):
        (finding,) = lock_finding(workflow.folder)
        assert "left by a Snakemake that was killed" in finding.text and "snakemake --unlock" in finding.text
        workflow.snakemake("--unlock")


def is_alive(process: psutil.Process) -> bool:
    """Not one that has ended and that nobody has asked about."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def is_reached(results: Path, stage: str, step: int, began: float) -> bool:
    """Whether a job of the stage has begun since then, and training has come so far."""
    if step:
        logs = (results / "training/checkpoints").glob("*/log.jsonl")
        return any(entry["step"] >= step for path in logs for entry in read_log(path))
    logs = (results / "logs").glob(f"{stage}/**/*.log")
    return any(path.stat().st_mtime >= began for path in logs)


def environment(workflow: Workflow) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(workflow.folder)}


def test_a_killed_run_ends_in_the_bytes_of_an_undisturbed_one(
    undisturbed: Workflow, survived: Workflow
) -> None:
    def made(workflow: Workflow) -> dict[str, object]:
        kept = ("*.parquet", "store/**/*.safetensors", "training/model/*.safetensors", "*.json")
        paths = {path for pattern in kept for path in workflow.results.rglob(pattern)}
        apart = {"checkpoints", "benchmarks", "environment.json"}
        found = {path.relative_to(workflow.results): path for path in paths}
        return {str(name): content(path) for name, path in found.items() if not apart & {*name.parts}}

    def content(path: Path) -> object:
        """Bytes; of a table with the time that answers took, all the rest of it."""
        if path.suffix == ".parquet" and "seconds" in (table := pq.read_table(path)).column_names:
            return table.drop_columns("seconds").to_pylist(), table.schema.metadata
        return path.read_bytes()

    expected, found = made(undisturbed), made(survived)
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []
    assert losses(survived) == losses(undisturbed)
    assert survived.planned(*RUN) == {}


def losses(workflow: Workflow) -> list[dict]:
    """The log but for what machines need time and memory for: speeds, and the last entry."""
    *entries, _ = read_log(workflow.results / "training/log.jsonl")
    return [{key: entry[key] for key in entry if not key.endswith("_per_second")} for entry in entries]


def test_every_flipped_byte_of_a_run_is_noticed_or_harmless(
    undisturbed: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file several times, at the same time as those of other folders; harmless means that the values are equal."""
    results = tmp_path / "results"
    shutil.copytree(undisturbed.results, results, symlinks=True)
    monkeypatch.chdir(tmp_path)  # models are named by paths from there
    # What else can be made of a run.
    export_model(results / "training/model", results / "exported")
    decoder = results / "models/decoder"
    embed_texts(["a domain", "a site"], decoder=decoder, store=results / "texts", max_text_tokens=8)
    for name in ("training", "exported", "models/decoder", "store", "texts", "metrics.json"):
        assert (results / name).exists()
    folders: dict[Path, list[Path]] = {}
    for path in sorted(results.rglob("*")):
        unread = UNREAD & {*path.relative_to(results).parts}
        if path.is_file() and not path.is_symlink() and not unread and path.stat().st_size:
            folders.setdefault(path.parent, []).append(path)
    assert not faults(results)
    draw = random.Random(SEED)
    silent, noticed, count = [], 0, 0
    for turn in [*zip_longest(*folders.values())] * FLIPS:
        damaged = {path: path.read_bytes() for path in turn if path}
        before = {path: values(path) for path in damaged}
        for path, content in damaged.items():
            flipped = bytearray(content)
            flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            path.write_bytes(flipped)
        found = faults(results)
        assert not [fault for fault in found if "\n" in fault]
        for path, content in damaged.items():
            if is_told(path, found):
                noticed += 1
            elif before[path] is None or values(path) != before[path]:
                silent.append(f"{path} (seed {SEED})")
            path.write_bytes(content)
        count += len(damaged)
    assert not silent, silent
    assert count > 90 * FLIPS and noticed > 0.9 * count, (noticed, count)


def faults(results: Path) -> list[str]:
    return [fault for verdict in verify_run(results) for fault in verdict.faults]


def is_told(path: Path, found: list[str]) -> bool:
    """Whether a fault names the file; of digests, a file that they are the digests of."""
    if path.name == SUMS:
        return any(Path(fault.partition(": ")[0]).parent == path.parent for fault in found)
    noted = path.with_name(path.name.removeprefix(".").removesuffix(".sha256"))
    return any(f"{path}" in fault or f"{noted}" in fault for fault in found)


def values(path: Path) -> object:
    """What readers find in a file whose bytes are not all covered by a checksum, else None."""
    if path.name.endswith(".sha256"):
        return "the name of the file, which nobody reads"  # any other change is told
    if path.suffix != ".parquet":
        return None
    with tables.open_table(path) as parquet:
        return parquet.read().to_pylist()


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[list[str]]:
    """A file system of ``size`` bytes at ``folder``, or where none may be mounted a limit of that size for each file.

    Yields the words that a command must begin with.
    """
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield [] if mounted else ["prlimit", f"--fsize={size}"]
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


# Too small for the file that a stage writes; for a checkpoint of weights and moments by any part of it.
DISKS = [
    ("ingest/VenusX_Dom/train.log", "data", (4096, 4097), "free space there"),
    ("embeddings/shard-0.log", "store", (4096, 16384), "MB are to be written"),
    ("training.log", "training/checkpoints", (100_000, 1_500_000), "MB are to be written"),
]


@pytest.mark.parametrize(("log", "full", "sizes", "says"), DISKS)
def test_a_full_disk_is_told_in_a_line(
    undisturbed: Workflow, log: str, full: str, sizes: tuple[int, int], says: str, tmp_path: Path
) -> None:
    """The stage's own command, which its log begins with, on a disk that is too small for what it writes."""
    shutil.copytree(undisturbed.results, tmp_path / "results", symlinks=True)
    shutil.copytree(undisturbed.folder / "raw", tmp_path / "raw")
    words = shlex.split((tmp_path / "results/logs" / log).read_text().splitlines()[0])
    folder = tmp_path / "results" / full
    shutil.rmtree(folder)
    folder.mkdir()
    size = random.Random(SEED).randrange(*sizes)
    with small_disk(folder, size) as before:
        result = subprocess.run(
            [*before, sys.executable, "-m", *words],
            cwd=tmp_path,
            env=environment(undisturbed),
            capture_output=True,
            text=True,
        )
        left = [path for path in folder.rglob("*") if path.suffix == ".part" or "checkpoint-" in path.name]
    said = result.stdout + result.stderr
    assert result.returncode == 2 and "Traceback" not in said, f"{size} bytes (seed {SEED})\n{said[-3000:]}"
    (line,) = {line for line in said.splitlines() if says in line}
    assert full in line and left == []
