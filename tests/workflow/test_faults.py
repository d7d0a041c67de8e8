"""Faults from outside: killed processes, flipped bytes, a full disk. Nothing is lost or changes in silence."""

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from workflow_copy import Workflow

from fragmodel import tables
from fragmodel.planning.lock import LOCKS
from fragmodel.training.log import read_log
from fragmodel.workflow.verify import verify_run

pytestmark = pytest.mark.slow

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
END = 60  # seconds in which all processes of a killed run must be gone


class Campaign:
    """A run of the workflow that is killed again and again."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow

    def kill(self, number: signal.Signals, target: str, reached: Callable[[], bool]) -> None:
        """Start the run and send a signal when it has ``reached`` a point: all processes end soon."""
        if any((self.workflow.folder / LOCKS).glob("*")):
            self.workflow.snakemake("--unlock")
        command = [sys.executable, "-m", "snakemake", "--configfile", "run.yaml", "--cores", "2"]
        with (self.workflow.folder / "killed.out").open("w") as output:
            main = psutil.Popen(
                command,
                cwd=self.workflow.folder,
                env=os.environ | {"PYTHONPATH": str(self.workflow.folder)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while not (reached() and (jobs := main.children())):
            assert main.poll() is None, (self.workflow.folder / "killed.out").read_text()[-3000:]
            time.sleep(0.05)
        family = [main, *main.children(recursive=True)]
        if target == "tree":
            os.killpg(main.pid, number)
        else:
            (main if target == "main" else jobs[0]).send_signal(number)
        _, alive = psutil.wait_procs(family, timeout=END)
        assert not alive, f"{number.name} of {target}: {[process.cmdline() for process in alive]} did not end"

    def seen(self, log: str) -> Callable[[], bool]:
        """Whether the stage with this log has begun."""
        return (self.workflow.results / "logs" / log).exists

    def trained(self, steps: int) -> Callable[[], bool]:
        """Whether training has come so far."""
        folder = self.workflow.results / "training/checkpoints"
        return lambda: any(
            entry["step"] >= steps for path in folder.glob("*/log.jsonl") for entry in read_log(path)
        )


@pytest.fixture(scope="module")
def survived(finished: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The run of ``finished`` with a signal in every stage, drawn with its target."""
    campaign = Campaign(Workflow(tmp_path_factory.mktemp("killed"), finished.config))
    draw = random.Random(23)
    targets = ["tree", "main", "job"]
    for log in ("ingest/VenusX_Dom/train.log", "models/decoder.log", "embeddings/shard-0.log"):
        campaign.kill(draw.choice(SIGNALS), draw.choice(targets), campaign.seen(log))
    campaign.kill(signal.SIGTERM, "main", campaign.trained(30))
    campaign.kill(draw.choice(SIGNALS), draw.choice(targets), campaign.trained(130))
    for log in ("generate/VenusX_Dom.log", "report.log"):
        campaign.kill(draw.choice(SIGNALS), draw.choice(targets), campaign.seen(log))
    if any((campaign.workflow.folder / LOCKS).glob("*")):
        campaign.workflow.snakemake("--unlock")
    campaign.workflow.snakemake()
    return campaign.workflow


def test_a_killed_run_ends_in_the_bytes_of_an_undisturbed_one(finished: Workflow, survived: Workflow) -> None:
    def results(workflow: Workflow) -> dict[str, bytes]:
        kept = ("*.parquet", "training/model/*.safetensors", "metrics.json")
        paths = (path for pattern in kept for path in workflow.results.rglob(pattern))
        return {str(path.relative_to(workflow.results)): path.read_bytes() for path in paths}

    undisturbed, killed = results(finished), results(survived)
    assert sorted(killed) == sorted(undisturbed)
    assert [name for name in killed if killed[name] != undisturbed[name]] == []
    assert losses(survived) == losses(finished)
    assert survived.planned() == {}


def losses(workflow: Workflow) -> list[dict]:
    entries = read_log(workflow.results / "training/log.jsonl")
    return [{key: entry[key] for key in entry if not key.endswith("_per_second")} for entry in entries]


def test_every_flipped_byte_of_a_run_is_noticed_or_harmless(survived: Workflow) -> None:
    """One file of each kind; harmless means that the values are equal."""
    unread = ("logs", "benchmarks", "figures", "tables", "runs")  # for people: no program reads them
    kinds: dict[tuple[str, str], Path] = {}
    for path in sorted(survived.results.rglob("*")):
        parts = path.relative_to(survived.results).parts
        if path.is_file() and not path.is_symlink() and not {*parts} & {*unread} and path.stat().st_size:
            kinds.setdefault((parts[0], path.name if path.suffix != ".parquet" else path.suffix), path)
    assert len(kinds) > 30
    draw = random.Random(23)
    noticed = 0
    for path in kinds.values():
        content, before = path.read_bytes(), values(path)
        for _ in range(2):
            damaged = bytearray(content)
            damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            path.write_bytes(damaged)
            faults = [fault for verdict in verify_run(survived.results) for fault in verdict.faults]
            assert faults or (before is not None and values(path) == before), path
            assert not [fault for fault in faults if "\n" in fault]
            noticed += bool(faults)
        path.write_bytes(content)
    assert noticed > len(kinds)


def values(path: Path) -> object:
    """What readers find in a file whose bytes are not all covered by a checksum, else None."""
    if path.suffix != ".parquet":
        return None
    with tables.open_table(path) as parquet:
        return parquet.read().to_pylist()


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[list[str]]:
    """A file system of ``size`` bytes at ``folder``, or where none may be mounted a limit of that size for each file.

    Yields the words that a command must begin with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield [] if mounted else ["prlimit", f"--fsize={size}"]
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    ("log", "full", "size", "says"),
    [
        ("ingest/VenusX_Dom/train.log", "data", 4096, "free space there"),
        ("embeddings/shard-0.log", "store", 65536, "MB are to be written"),
        ("training.log", "training/checkpoints", 262144, "MB are to be written"),
        ("generate/VenusX_Dom.log", "predictions", 4096, "free space there"),
    ],
)
def test_a_full_disk_is_told_in_a_line(
    survived: Workflow, log: str, full: str, size: int, says: str, tmp_path: Path
) -> None:
    """The stage's own command, which its log begins with, on a disk that is too small for what it writes."""
    words = shlex.split((survived.results / "logs" / log).read_text().splitlines()[0])
    folder = survived.results / full
    with small_disk(folder, size) as before:
        result = subprocess.run(
            [*before, sys.executable, "-m", *words],
            cwd=survived.folder,
            env=os.environ | {"PYTHONPATH": str(survived.folder)},
            capture_output=True,
            text=True,
        )
        left = [
            path.name
            for path in folder.rglob("*")
            if path.name.endswith(".part") or "checkpoint-" in path.name
        ]
    said = result.stdout + result.stderr
    assert result.returncode == 2, said[-3000:]
    assert "Traceback" not in said, said[-3000:]
    (line,) = [line for line in said.splitlines() if says in line]
    assert full.partition("/")[0] in line and left == []
