"""The workflow as a module of another one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
OUTER = """
configfile: "outer.yaml"

module fragmodel:
    snakefile: "{snakefile}"
    config: config["fragmodel"]

use rule * from fragmodel as fragmodel_*

rule everything:
    default_target: True
    input:
        "elsewhere/report.html",
        "elsewhere/training/model",
    output:
        "done.txt"
    shell:
        "cat {{input[0]}} > {{output}}"
"""


def dry_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "-n", *arguments]
    # Another workflow's folder: neither the package nor the default config lies there.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def write_outer(folder: Path, **changes: object) -> None:
    sample = REPOSITORY / "data/sample/VenusX_Act"
    run = {
        "results": "elsewhere",
        "datasets": {
            "VenusX_Act": {split: str(sample / f"{split}.json") for split in ("train", "valid", "test")}
        },
    }
    (folder / "outer.yaml").write_text(yaml.safe_dump({"fragmodel": run | changes}))
    (folder / "Snakefile").write_text(OUTER.format(snakefile=REPOSITORY / "Snakefile"))


def test_another_workflow_uses_every_rule(tmp_path):
    write_outer(tmp_path)
    result = dry_run(tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    stats = dict(
        line.split() for line in result.stdout.split("Job stats:")[1].splitlines() if len(line.split()) == 2
    )
    expected = {"train_model": "1", "generate": "1", "score": "1", "report": "1"}
    assert {rule: stats.get(f"fragmodel_{rule}") for rule in expected} == expected
    assert stats["everything"] == "1"
    assert "VenusX_Dom" not in result.stdout  # nothing of the module's own config.yaml


def test_a_mistake_in_the_module_config_is_told(tmp_path):
    write_outer(tmp_path, seeds=3)
    result = dry_run(tmp_path)
    assert result.returncode != 0
    assert "seeds" in result.stdout + result.stderr


def run_config(folder: Path) -> None:
    sample = REPOSITORY / "data/sample/VenusX_Act"
    files = {split: str(sample / f"{split}.json") for split in ("train", "test")}
    (folder / "run.yaml").write_text(yaml.safe_dump({"datasets": {"VenusX_Act": files}}))


@pytest.mark.parametrize(
    "options",
    [
        ["--configfile", "run.yaml"],
        ["--configfile", "run.yaml", "--directory", "elsewhere"],
        ["--configfile", "run.yaml", "--profile", str(REPOSITORY / "slurm")],
        [
            "--configfile",
            "run.yaml",
            "--config",
            "training={max_steps: 3, learning_rate: 1e-4}",
            "results=./res/",
        ],
    ],
    ids=["snakefile", "directory", "profile", "config"],
)
def test_a_run_starts_from_another_folder(tmp_path, options):
    run_config(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    result = dry_run(tmp_path, "--snakefile", str(REPOSITORY / "Snakefile"), *options)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert "train_model" in result.stdout


def test_without_a_config_it_is_said_what_to_give(tmp_path):
    result = dry_run(tmp_path, "--snakefile", str(REPOSITORY / "Snakefile"))
    said = result.stdout + result.stderr
    assert result.returncode and "no config.yaml in" in said and "--configfile FILE" in said
    assert "Traceback" not in said
