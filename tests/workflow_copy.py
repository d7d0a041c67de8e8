"""A copy of the repository in which a test runs the real workflow."""

import copy
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]
COPIED = (
    "Snakefile",
    "workflow",
    "rules",
    "workflow_scripts",
    "fragmodel",
    "profiles",
    "slurm",
    "config.yaml",
    "environment.yaml",
)


class Workflow:
    """A copy of the repository with a config of its own; what is edited in it touches nothing else."""

    def __init__(self, folder: Path, config: dict) -> None:
        self.folder = folder
        for name in COPIED:
            source = REPOSITORY / name
            if source.is_symlink():
                (folder / name).symlink_to(source.readlink())
            elif source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)
        self.configure(config)

    def twin(self, folder: Path) -> "Workflow":
        """The same run with all its results in another folder, where it may go on otherwise."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        twin = copy.copy(self)
        twin.folder = folder
        return twin

    def configure(self, config: dict) -> None:
        self.config = config
        (self.folder / "run.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake in the copy, with the copy's own package."""
        command = [sys.executable, "-m", "snakemake", "--configfile", "run.yaml", "--cores", "2", *arguments]
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=environment, **pipes)

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run Snakemake to its end; ``check`` that it is a good one."""
        with self.start(*arguments) as running:
            stdout, stderr = running.communicate()
        if check and running.returncode:
            raise AssertionError(f"snakemake {' '.join(arguments)}\n{stdout[-3000:]}\n{stderr[-3000:]}")
        return subprocess.CompletedProcess(running.args, running.returncode, stdout, stderr)

    def shell(self, command: str) -> None:
        """Run a command line in the folder of the run, `fragmodel` being the copy's own."""
        words = [sys.executable, "-m", *shlex.split(command)]
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        subprocess.run(words, cwd=self.folder, env=environment, check=True, capture_output=True)

    def planned(self, *arguments: str) -> dict[str, int]:
        """Rules that a dry run would start, with the number of jobs."""
        return planned_jobs(self.snakemake("-n", *arguments).stdout)

    @property
    def results(self) -> Path:
        return self.folder / "results"


def planned_jobs(said: str) -> dict[str, int]:
    """Rules with their numbers of jobs, as Snakemake's dry run says; targets without a script left out."""
    jobs: dict[str, int] = {}
    if "Job stats:" in said:
        for line in said.split("Job stats:")[1].splitlines()[3:]:
            if not line.strip():
                break
            rule, count = line.split()
            if rule == "ingest":
                continue  # the target
            rule = "ingest" if rule.startswith("ingest_") else rule  # each data set has its rule
            jobs[rule] = jobs.get(rule, 0) + int(count)
    for target in ("total", "all", "embed", "align", "train", "evaluate"):
        jobs.pop(target, None)
    return jobs


def choose_proteins(name: str, count: int) -> list[dict]:
    """Short proteins of the sample with fragments of different classes, as they stand in the file."""
    proteins = json.loads((REPOSITORY / f"data/sample/{name}/train.json").read_text())
    several = [p for p in proteins if len({f["category"] for f in p["fragments"]}) > 1]
    return sorted(several, key=lambda protein: len(protein["sequence"]))[:count]
