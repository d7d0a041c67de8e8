"""Faults from outside: killed processes, flipped bytes, a full disk. Nothing is lost or changes in silence."""

import os
import random
import shlex
import shutil
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

END = 60  # seconds in which all processes of a killed run must be gone


class Campaign:
    """A run of the workflow that is killed again and again."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow

    def kill(self, number: signal.Signals, target: str, reached: Callable[[], bool]) -> None:
        """Start the run and send a signal when it has ``reached`` a point: all processes end soon."""
        said = self.workflow.folder / "killed.out"
        with said.open("w") as output:
            main = psutil.Popen(
                [sys.executable, "-m", "snakemake", "--configfile", "run.yaml", "--cores", "2"],
                cwd=self.workflow.folder,
                env=environment(self.workflow),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while not (reached() and (jobs := main.children())):
            assert main.poll() is None, said.read_text()[-3000:]
            time.sleep(0.05)
        family = [main, *main.children(recursive=True)]
        if target == "tree":
            os.killpg(main.pid, number)
        else:
            (main if target == "main" else jobs[0]).send_signal(number)
        _, alive = psutil.wait_procs(family, timeout=END)
        assert not alive, f"{number.name} of {target}: {[process.cmdline() for process in alive]} did not end"
        if any((self.workflow.folder / LOCKS).glob("*")):
            self.workflow.snakemake("--unlock")

    def begun(self, log: str) -> Callable[[], bool]:
        """Whether the job with this log, which has none yet, has begun."""
        path = self.workflow.results / "logs" / log
        path.unlink()
        return path.exists

    def trained(self, steps: int) -> Callable[[], bool]:
        """Whether training has come so far."""
        folder = self.workflow.results / "training/checkpoints"
        return lambda: any(
            entry["step"] >= steps for path in folder.glob("*/log.jsonl") for entry in read_log(path)
        )


def environment(workflow: Workflow) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(workflow.folder)}


@pytest.fixture(scope="module")
def survived(finished: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The run of ``finished`` once more from its raw files on, with the decoder given; killed on its way."""
    twin = object.__new__(Workflow)
    twin.folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(finished.folder, twin.folder, symlinks=True, dirs_exist_ok=True)
    twin.configure(finished.config)
    for made in ("data", "embeddings", "store", "training"):
        shutil.rmtree(twin.results / made)
    campaign = Campaign(twin)
    campaign.kill(signal.SIGKILL, "job", campaign.begun("embeddings/shard-0.log"))
    campaign.kill(signal.SIGTERM, "main", campaign.trained(30))
    campaign.kill(signal.SIGKILL, "tree", campaign.trained(130))
    campaign.kill(signal.SIGINT, "main", campaign.begun("generate/VenusX_Dom.log"))
    twin.snakemake()
    return twin


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
    """One in a file of each kind; harmless means that the values are equal."""
    # For people, or for a training that still goes on: no program reads them for a result.
    unread = {"logs", "benchmarks", "figures", "tables", "runs", "finished"}
    kinds: dict[tuple[str, str], Path] = {}
    for path in sorted(survived.results.rglob("*")):
        parts = path.relative_to(survived.results).parts
        if path.is_file() and not path.is_symlink() and not unread & {*parts} and path.stat().st_size:
            kinds.setdefault((parts[0], path.name if path.suffix != ".parquet" else path.suffix), path)
    assert len(kinds) > 30
    draw = random.Random(23)
    silent, noticed = [], 0
    for path in kinds.values():
        content, before = path.read_bytes(), values(path)
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        faults = [fault for verdict in verify_run(survived.results) for fault in verdict.faults]
        if not faults and (before is None or values(path) != before):
            silent.append(str(path))
        assert not [fault for fault in faults if "\n" in fault]
        noticed += bool(faults)
        path.write_bytes(content)
    assert silent == []
    assert noticed > len(kinds) / 2


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
    ],
)
def test_a_full_disk_is_told_in_a_line(
    finished: Workflow, log: str, full: str, size: int, says: str, tmp_path: Path
) -> None:
    """The stage's own command, which its log begins with, on a disk that is too small for what it writes."""
    shutil.copytree(finished.results, tmp_path / "results", symlinks=True)
    command = (tmp_path / "results/logs" / log).read_text().splitlines()[0]
    command = command.replace('"checkpoint_steps": 110', '"checkpoint_steps": 2')
    folder = tmp_path / "results" / full
    shutil.rmtree(folder)
    folder.mkdir()
    with small_disk(folder, size) as before:
        result = subprocess.run(
            [*before, sys.executable, "-m", *shlex.split(command)],
            cwd=tmp_path,
            env=environment(finished),
            capture_output=True,
            text=True,
        )
        left = [path for path in folder.rglob("*") if path.suffix == ".part" or "checkpoint-" in path.name]
    said = result.stdout + result.stderr
    assert result.returncode == 2, said[-3000:]
    assert "Traceback" not in said, said[-3000:]
    (line,) = [line for line in said.splitlines() if says in line]
    assert full.partition("/")[0] in line and left == []
