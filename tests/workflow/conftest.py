"""One finished run of the real workflow on a few real proteins, shared by the tests of this folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
COPIED = (
    "Snakefile",
    "rules",
    "workflow_scripts",
    "fragmodel",
    "profiles",
    "config.yaml",
    "environment.yaml",
)


class Workflow:
    """A copy of the repository with a config of its own; what is edited in it touches nothing else."""

    def __init__(self, folder: Path, config: dict) -> None:
        self.folder = folder
        for name in COPIED:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)
        self.configure(config)

    def configure(self, config: dict) -> None:
        self.config = config
        (self.folder / "run.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run Snakemake in the copy, with the copy's own package."""
        command = [sys.executable, "-m", "snakemake", "--configfile", "run.yaml", "--cores", "2", *arguments]
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        result = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command)}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
        return result

    def planned(self, *arguments: str) -> dict[str, int]:
        """Rules that a dry run would start, with the number of jobs; targets without a script left out."""
        output = self.snakemake("-n", *arguments).stdout
        jobs: dict[str, int] = {}
        if "Job stats:" in output:
            for line in output.split("Job stats:")[1].splitlines()[3:]:
                if not line.strip():
                    break
                rule, count = line.split()
                jobs[rule] = int(count)
        for target in ("total", "all", "ingest", "embed", "train", "evaluate"):
            jobs.pop(target, None)
        return jobs

    @property
    def results(self) -> Path:
        return self.folder / "results"


def small_config(data: Path) -> dict:
    """Two data sets of small real proteins, tiny stand-ins, enough steps to learn the training records."""
    names = {"VenusX_Dom": ["referring_class", "grounding_single"], "VenusX_Act": ["referring_class"]}
    return {
        "datasets": {
            name: {split: str(data / f"{name}.json") for split in ("train", "valid", "test")}
            | {"tasks": tasks}
            for name, tasks in names.items()
        },
        "models": {
            "stand_in": {"decoder_epochs": 0, "decoder_dim": 192, "decoder_heads": 6, "vocab_size": 600}
        },
        "adapter": {"intermediate_dim": 256},
        "lora": {"dropout": 0.0},
        "training": {
            "max_steps": 220,
            "learning_rate": 2e-3,
            "batch_size": 8,
            "log_steps": 10,
            "checkpoint_steps": 110,
            "max_text_tokens": 64,
        },
        "evaluation": {"max_new_tokens": 48, "bootstrap_samples": 50},
    }


def choose_proteins(name: str, count: int) -> list[dict]:
    """Short proteins of the sample with fragments of different classes, as they stand in the file."""
    proteins = json.loads((REPOSITORY / f"data/sample/{name}/train.json").read_text())
    several = [p for p in proteins if len({f["category"] for f in p["fragments"]}) > 1]
    return sorted(several, key=lambda protein: len(protein["sequence"]))[:count]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The whole DAG, run to the end."""
    folder = tmp_path_factory.mktemp("workflow")
    data = folder / "raw"
    data.mkdir()
    for name, count in (("VenusX_Dom", 4), ("VenusX_Act", 3)):
        (data / f"{name}.json").write_text(json.dumps(choose_proteins(name, count)))
    workflow = Workflow(folder, small_config(data))
    workflow.snakemake()
    return workflow
