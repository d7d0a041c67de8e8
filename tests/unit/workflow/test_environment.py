"""The packages that made a run are known, and a change of them is told."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.tables import LEAKAGE, SPLIT_ASSIGNMENT, write_table
from fragmodel.versions import SEARCH, hardware, versions_of
from fragmodel.workflow.environment import describe_making, recorded_packages


@pytest.fixture
def results(tmp_path):
    write_table(tmp_path / "audit/leakage.parquet", LEAKAGE, [], {"environment": versions_of(SEARCH)})
    write_table(
        tmp_path / "splits/assignment.parquet", SPLIT_ASSIGNMENT, []
    )  # of an older version: says nothing
    model = tmp_path / "training/model"
    model.mkdir(parents=True)
    now = versions_of(["torch", "peft"])
    made = [{**now, "torch": "1.0", "hardware": "a machine"}, {**now, "hardware": "another"}, now]
    (model / "environment.json").write_text(json.dumps(made))
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores/records.parquet").write_text("damaged")
    return tmp_path


def test_stages_tell_all_versions_that_took_part(results):
    found = {(package.stage, package.name): package for package in recorded_packages(results)}
    assert set(found) == {("audit", name) for name in SEARCH} | {("training", "torch"), ("training", "peft")}
    torch = found["training", "torch"]
    assert torch.changed and torch.recorded == ("1.0", torch.installed)
    assert not found["training", "peft"].changed and not found["audit", "biopython"].changed


@pytest.mark.parametrize(("policy", "said"), [("report", "nothing runs again"), ("rerun", "will run again")])
def test_doctor_tells_it_in_a_line(results, tmp_path, policy, said):
    config = {"results": str(results), "packages": policy, "datasets": {"A_Dom": {"train": "a", "test": "b"}}}
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    result = CliRunner().invoke(
        app, ["doctor", "--config", str(tmp_path / "run.yaml"), "--profile", "default"]
    )
    (line,) = [line for line in result.stdout.splitlines() if "packages" in line]
    assert "torch 1.0, " in line and "(training)" in line and said in line


def test_when_and_where_a_run_was_made(results):
    assert "date" not in describe_making(results)
    (results / "metrics.json").write_text("{}")
    os.utime(results / "metrics.json", (0, 86_400))
    made = describe_making(results)
    assert (made["date"], made["hardware"]) == ("1970-01-02", ["a machine", "another"])
    clone = Path(__file__).parents[3]
    if (clone / ".git").exists():
        asked = ["git", "-C", str(clone), "rev-parse", "HEAD"]
        head = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        assert head.startswith(made["commit"].removesuffix(", changed")) and len(made["commit"]) >= 12
    else:
        assert "commit" not in made


def test_this_machine_in_words(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nprintf 'NVIDIA H200\\nNVIDIA H200\\nNVIDIA L4\\n'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert hardware().startswith(f"{len(os.sched_getaffinity(0))} cores of ")
    assert hardware().endswith(", 2 × NVIDIA H200, 1 × NVIDIA L4")
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho no driver\nexit 9\n")
    assert "no driver" not in hardware() and "×" not in hardware()


def test_a_package_that_is_missing_is_none(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert versions_of(["mmseqs2", "no-such-package"]) == {"mmseqs2": "none", "no-such-package": "none"}
