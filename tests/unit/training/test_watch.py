"""What the terminal is told of a training whose output goes to a log."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fragmodel.config.training import TrainingConfig
from fragmodel.training import watch
from fragmodel.training.watch import Watch, watched


def add(folder: Path, **entry: float) -> None:
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")


def test_step_loss_rate_and_the_time_left(tmp_path: Path) -> None:
    add(tmp_path, step=2, epoch=0.1, loss=9.0)  # of an earlier attempt
    told = Watch(tmp_path, TrainingConfig(max_steps=200))
    assert told.line(0.0) is None
    add(tmp_path, step=10, epoch=0.5, loss=4.25)
    assert told.line(10.0) == "training: step 10 of 200, loss 4.25"
    assert told.line(11.0) is None
    add(tmp_path, step=60, epoch=3.0, loss=2.0)
    add(tmp_path, step=60, eval_loss=2.5)
    assert told.line(20.0) == "training: step 60 of 200, loss 2, 5 steps/s, 0:00:28 left"
    add(tmp_path, step=80, epoch=4.0, loss=1.0)
    by_epochs = Watch(tmp_path, TrainingConfig(epochs=20))
    add(tmp_path, step=100, epoch=5.0, loss=1.0)
    assert by_epochs.line(0.0) == "training: step 100 of 400, loss 1"


CHILD = """
import json, pathlib, time
pathlib.Path("log.jsonl").write_text(json.dumps({"step": 1, "epoch": 1.0, "loss": 3.0}))
time.sleep(2.5)
exit(3)
"""


def follow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The status of a training that logs one step, and whose output goes to a log."""
    monkeypatch.setattr(watch, "INTERVAL", 0.0)
    monkeypatch.setattr(sys, "stderr", (folder / "job.log").open("w"))
    with subprocess.Popen([sys.executable, "-c", CHILD], cwd=folder) as child:
        return watched(child, folder, TrainingConfig(max_steps=4))


def test_the_terminal_is_told_while_the_child_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert follow(tmp_path, monkeypatch) == 3
    assert "training: step 1 of 4, loss 3" in capfd.readouterr().err


def test_training_goes_on_when_the_terminal_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "__stderr__", os.fdopen(writer, "w"))
    assert follow(tmp_path, monkeypatch) == 3
