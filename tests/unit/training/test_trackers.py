"""Trackers see what the run's own log says, and one that is not installed is told in a line."""

import json
import sys
from pathlib import Path

import pytest
from small_runs import small_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_models import TinyModels

from fragmodel.config.training import AdapterConfig, LoraConfig, TrainingConfig
from fragmodel.errors import UserError
from fragmodel.training import loop, trainer
from fragmodel.training.flags import INSTRUCT, TRAINER
from fragmodel.training.program_arguments import as_flags, program_arguments
from fragmodel.training.setup import prepare


@pytest.mark.parametrize(("program", "train"), [(TRAINER, trainer.train), (INSTRUCT, loop.train)])
def test_tensorboard_has_the_losses_of_the_log(program, train, tiny: TinyModels, tmp_path: Path) -> None:
    arguments = small_run(tiny, tmp_path, "--report_to", "tensorboard", program=program)
    assert train(prepare(arguments), arguments)
    rows = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    logged = {row["step"]: row["loss"] for row in rows if "loss" in row}
    (folder,) = (tmp_path / "out/runs").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    seen = {event.step: event.value for event in events.Scalars("train/loss")}
    assert seen == pytest.approx(logged, rel=1e-6) and len(seen) == 2


@pytest.mark.parametrize("name", ["wandb", "mlflow", "comet_ml"])
def test_a_missing_package_is_a_line_with_its_command(
    name, tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # not to be found, also where it is installed
    with pytest.raises(UserError, match=f"--report_to {name}.*: .*pip install .?{name.replace('_', '-')}"):
        small_run(tiny, tmp_path, "--report_to", name)


def test_an_unknown_tracker_is_told_with_those_there_are(tiny: TinyModels, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--report_to excel: .*tensorboard"):
        small_run(tiny, tmp_path, "--report_to", "excel")


@pytest.mark.parametrize(
    ("trackers", "words"), [([], ["none"]), (["wandb", "tensorboard"], ["wandb", "tensorboard"])]
)
def test_the_workflow_hands_them_on(trackers, words) -> None:
    training = TrainingConfig(report_to=trackers)
    flags = as_flags(program_arguments(AdapterConfig(), LoraConfig(), training, 1, False))
    at = flags.index("--report_to")
    assert flags[at + 1 : at + 1 + len(words)] == words and flags[at + 1 + len(words)].startswith("--")
