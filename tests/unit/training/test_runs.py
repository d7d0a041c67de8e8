"""Training runs that lie side by side."""

import json

import pytest
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.errors import UserError
from fragmodel.training.launch import finish, own_folder
from fragmodel.training.runs import differing, list_runs, remove_run


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    checkpoints = tmp_path / "training" / "checkpoints"
    for rank in (8, 16):
        folder, _ = own_folder(checkpoints, {"lora": {"rank": rank}, "seed": 1, "code": "a"}, anew=False)
        (folder / "checkpoint-20").mkdir()
        (folder / "checkpoint-20" / "trainer_state.json").write_text("{}")
        if rank == 8:
            (folder / "log.jsonl").write_text('{"step": 20, "loss": 1.0}\n')
            finish(folder)
    return tmp_path


def test_runs_tell_how_far_they_are_and_in_what_they_differ(results):
    runs = list_runs(results)
    assert {(run.finished is not None, run.step) for run in runs} == {(True, 20), (False, 20)}
    assert sorted(differing(runs).values(), key=str) == [{"lora.rank": "16"}, {"lora.rank": "8"}]
    lines = CliRunner().invoke(app, ["runs", "ls", "--results", str(results)]).stdout.splitlines()
    assert len(lines) == 2 and any(
        "not finished, at step 20" in line and "lora.rank 16" in line for line in lines
    )


def test_a_run_is_removed_by_name_and_no_other(results):
    first, second = list_runs(results)
    assert CliRunner().invoke(app, ["runs", "rm", first.name, "--results", str(results)]).exit_code == 0
    assert not first.folder.exists() and second.folder.is_dir()
    for name in (first.name, "..", "", "."):
        with pytest.raises(UserError, match="no training run"):
            remove_run(results, name)
    assert json.loads((second.folder / "settings.json").read_text())["seed"] == 1


def test_an_empty_folder_has_none(tmp_path):
    assert list_runs(tmp_path) == []


def test_damaged_settings_are_told_in_a_line(results):
    path = list_runs(results)[0].folder / "settings.json"
    path.write_text(path.read_text().replace("8", "9").replace("16", "61"))
    told = CliRunner().invoke(app, ["runs", "ls", "--results", str(results)])
    assert told.exit_code == 2 and told.output.count("\n") == 1 and str(path) in told.output
