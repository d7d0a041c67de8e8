"""What a resumed run does with damaged checkpoints, and what its log holds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import small_run, write_rows
from tiny_models import TinyModels

from fragmodel.digests import SUMS
from fragmodel.errors import UserError
from fragmodel.training import loop, trainer
from fragmodel.training.checkpoints import undamaged_checkpoint
from fragmodel.training.flags import INSTRUCT, TRAINER
from fragmodel.training.log import read_log
from fragmodel.training.setup import prepare

LOOPS: dict[str, Callable] = {TRAINER: trainer.train, INSTRUCT: loop.train}
FILES = (
    *("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"),
    *("trainer_state.json", "run.json", "fragmodel.json", SUMS),
)


def run(program: str, tiny: TinyModels, folder: Path, *words: str) -> None:
    """Four steps, two epochs; a checkpoint and a validation at the end of each."""
    eval_file = write_rows(folder / "valid.parquet")
    options = ("--num_train_epochs", "2", "--max_steps", "4", "--gradient_accumulation_steps", "2")
    options += ("--eval_strategy", "epoch", "--eval_files", str(eval_file), "--save_steps", "2")
    arguments = small_run(tiny, folder, *options, *words, program=program)
    LOOPS[program](prepare(arguments), arguments)


def logged(folder: Path) -> list[dict]:
    entries = read_log(folder / "out/log.jsonl")
    return [{key: value for key, value in entry.items() if key != "tokens_per_second"} for entry in entries]


@pytest.fixture(scope="module", params=LOOPS)
def trained(request: pytest.FixtureRequest, tiny: TinyModels, tmp_path_factory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("trained")
    run(request.param, tiny, folder)
    return request.param, folder


@pytest.fixture
def copy(trained: tuple[str, Path], tmp_path: Path) -> tuple[str, Path]:
    program, folder = trained
    shutil.copytree(folder, tmp_path / "run")
    return program, tmp_path / "run"


@pytest.mark.parametrize("damage", ["flipped", "empty", "empty and without digests"])
def test_the_checkpoint_before_is_taken_and_it_is_said(copy, damage, capsys) -> None:
    _, folder = copy
    older, newest = folder / "out/checkpoint-2", folder / "out/checkpoint-4"
    assert undamaged_checkpoint(folder / "out") == newest
    assert set(FILES) <= {path.name for path in newest.iterdir()}
    if "without" in damage:
        (newest / SUMS).unlink()
    for name in FILES if "without" not in damage else FILES[1:6]:
        original = (newest / name).read_bytes()
        content = bytearray(original)
        content[len(content) // 2] ^= 0x11
        (newest / name).write_bytes(content if damage == "flipped" else b"")
        capsys.readouterr()
        assert undamaged_checkpoint(folder / "out") == older, name
        said = capsys.readouterr().out
        assert said.endswith(": going back to the checkpoint before checkpoint-4\n"), name
        assert f"{newest}/" in said and (name in said or name == SUMS)
        (newest / name).write_bytes(original)
    for path in (older, newest):
        (path / "optimizer.pt").write_bytes(b"")
    with pytest.raises(UserError, match="every checkpoint is damaged"):
        undamaged_checkpoint(folder / "out")


def test_the_log_of_a_run_that_goes_back_is_that_of_an_uninterrupted_one(copy, tiny: TinyModels) -> None:
    program, folder = copy
    whole = logged(folder)
    log = folder / "out/log.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    names = [next(name for name in ("eval_loss", "loss") if name in json.loads(line)) for line in lines]
    steps = [json.loads(line)["step"] for line in lines]
    assert list(zip(steps, names, strict=True)) == [
        *[(1, "loss"), (2, "loss"), (2, "eval_loss")],
        *[(3, "loss"), (4, "loss"), (4, "eval_loss")],
    ]
    # A kill after the first epoch's checkpoint, before its validation; then one line too many, cut off in the middle.
    log.write_text("".join(lines[:2]) + lines[3][:10])
    for name in ("optimizer.pt", "run.json"):
        (folder / "out/checkpoint-4" / name).write_bytes(b"")
    run(program, tiny, folder, "--resume_from_checkpoint", "True")
    assert logged(folder) == whole
