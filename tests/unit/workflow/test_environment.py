"""The packages that made a run are known, and a change of them is told."""

import json

import pytest
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.tables import LEAKAGE, SPLIT_ASSIGNMENT, write_table
from fragmodel.versions import SEARCH, versions_of
from fragmodel.workflow.environment import recorded_packages


@pytest.fixture
def results(tmp_path):
    write_table(tmp_path / "audit/leakage.parquet", LEAKAGE, [], {"environment": versions_of(SEARCH)})
    write_table(
        tmp_path / "splits/assignment.parquet", SPLIT_ASSIGNMENT, []
    )  # of an older version: says nothing
    model = tmp_path / "training/model"
    model.mkdir(parents=True)
    now = versions_of(["torch", "peft"])
    (model / "environment.json").write_text(json.dumps([{**now, "torch": "1.0"}, now]))
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


def test_a_package_that_is_missing_is_none(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert versions_of(["mmseqs2", "no-such-package"]) == {"mmseqs2": "none", "no-such-package": "none"}
