"""The best checkpoint becomes the model, in both programs, also after an interruption."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file
from small_runs import ROWS, small_run, write_rows
from tiny_models import TinyModels
from transformers import TrainerControl, TrainerState

from fragmodel.errors import UserError
from fragmodel.training import loop, trainer
from fragmodel.training.arguments import FragTrainingArguments
from fragmodel.training.callbacks import StopInOrder
from fragmodel.training.flags import INSTRUCT, TRAINER
from fragmodel.training.interrupt import Interruption
from fragmodel.training.log import read_log
from fragmodel.training.selection import StopEarly, is_put_off, note_validation, read_state, ship
from fragmodel.training.setup import prepare

LOOPS: dict[str, Callable] = {TRAINER: trainer.train, INSTRUCT: loop.train}
WEIGHTS = "adapter_model.safetensors"
CHOOSE = ("--load_best_model_at_end", "--eval_strategy", "steps", "--eval_steps", "2", "--save_steps", "2")


def run(program: str, tiny: TinyModels, folder: Path, *words: str) -> list[dict]:
    """Train on one class and validate on another: what is learnt soon spoils the validation loss."""
    folder.mkdir(exist_ok=True)
    other = write_rows(folder / "valid.parquet", [ROWS[2] | {"answer": "kinase", "classes": ["kinase"]}])
    rate = ("--learning_rate", "0.03", "--lr_scheduler_type", "constant", "--max_steps", "8")
    settings = [*rate, "--eval_files", str(other), *CHOOSE, *words]
    arguments = small_run(tiny, folder, *settings, program=program)
    LOOPS[program](prepare(arguments), arguments)
    return read_log(folder / "out" / "log.jsonl")


def chosen(log: list[dict]) -> dict:
    (entry,) = (entry for entry in log if "chosen" in entry)
    return entry


def arguments_of(folder: Path, **words) -> FragTrainingArguments:
    each_step = {"eval_strategy": "steps", "eval_steps": 1, "save_steps": 1, "metric_for_best_model": "loss"}
    told = each_step | {"report_to": "none", "use_cpu": True, "load_best_model_at_end": True} | words
    return FragTrainingArguments(output_dir=str(folder), **told)


@pytest.mark.parametrize(
    ("losses", "patience", "end"),
    [
        ([3, 2, 4, 5, 1], 2, 4),
        ([3, 2, 4, 1, 5], 2, 5),  # one that is better is waited for again
        ([3, 3, 3, 1], 2, 3),  # no worse is no better
        ([math.nan, 2, 3, 4, 1], 2, 4),
        ([1, 2, 3, 4, 5], 3, 4),
        ([1, 2, 3, 4, 5], 0, 5),
    ],
)
def test_so_many_validations_in_a_row_are_waited_for(losses, patience, end, tmp_path: Path) -> None:
    args, state = arguments_of(tmp_path, early_stopping_patience=patience), TrainerState()
    for step, loss in enumerate(losses, 1):
        control, state.global_step = TrainerControl(), step
        state.log_history.append({"step": step, "eval_loss": loss})
        StopEarly().on_evaluate(args, state, control, {"eval_loss": loss})
        note_validation(args, state, loss)
        if control.should_training_stop:
            break
    assert step == end
    assert state.best_metric == min(loss for loss in losses[:end] if loss == loss)


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ({"eval_steps": 2, "save_steps": 2}, [2, 4, 6]),
        ({"eval_steps": 2, "save_steps": 2, "eval_delay": 4}, [4, 6]),
        ({"eval_strategy": "epoch", "save_strategy": "epoch"}, [3, 6]),
    ],
)
def test_a_validation_that_is_due_and_not_logged_is_put_off(words, steps, tmp_path: Path) -> None:
    args, due = arguments_of(tmp_path, **words), []
    for step in range(1, 7):
        state = TrainerState(global_step=step, epoch=step / 3, max_steps=6)
        state.compute_steps(args, 6)
        if is_put_off(args, state):
            due.append(step)
            state.log_history.append({"step": step, "eval_loss": 1.0})
            assert not is_put_off(args, state)
    assert due == steps


@pytest.mark.parametrize("program", LOOPS)
def test_the_model_is_that_of_the_best_validation(program: str, tiny: TinyModels, tmp_path: Path) -> None:
    log = run(program, tiny, tmp_path / "run", "--save_total_limit", "2")
    losses = {entry["step"]: entry["eval_loss"] for entry in log if "eval_loss" in entry}
    assert list(losses) == [2, 4, 6, 8]
    best = min(losses, key=losses.get)
    assert best < 8  # else the test could not tell the best from the last
    assert chosen(log) == {"step": best, "chosen": "eval_loss", "value": losses[best]}
    out = tmp_path / "run" / "out"
    kept = {path.name for path in out.glob("checkpoint-*")}
    assert kept == {f"checkpoint-{best}", "checkpoint-8"}
    ours, theirs = load_file(out / WEIGHTS), load_file(out / f"checkpoint-{best}" / WEIGHTS)
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert not list(out.glob("optimizer*")) and not (out / "trainer_state.json").exists()


def test_both_programs_choose_alike(tiny: TinyModels, tmp_path: Path) -> None:
    logs = [run(program, tiny, tmp_path / program, "--early_stopping_patience", "1") for program in LOOPS]
    found = [chosen(log) for log in logs]
    assert found[0]["step"] == found[1]["step"]
    assert found[0]["value"] == pytest.approx(found[1]["value"], rel=1e-5)
    ends = [max(entry["step"] for entry in log) for log in logs]
    assert ends == [found[0]["step"] + 2] * 2 != [8, 8]


@pytest.mark.parametrize("program", LOOPS)
@pytest.mark.parametrize("later", [0, 1])
def test_an_interrupted_run_chooses_like_one_in_one_go(
    program: str, later: int, tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = ("--save_total_limit", "2")  # one of them is the best
    whole = run(program, tiny, tmp_path / "whole", *keep)
    at = chosen(whole)["step"] + later
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "agree", lambda self: interrupt(self, at))
        patch.setattr(StopInOrder, "on_step_end", counted(StopInOrder.on_step_end))
        run(program, tiny, tmp_path / "cut", *keep)
    assert not (tmp_path / "cut/out" / WEIGHTS).exists()
    resumed = run(program, tiny, tmp_path / "cut", *keep, "--resume_from_checkpoint", "True")
    assert chosen(resumed) == chosen(whole)
    validated = [(e["step"], e["eval_loss"]) for e in resumed if "eval_loss" in e]
    assert validated == [(e["step"], e["eval_loss"]) for e in whole if "eval_loss" in e]
    weights = [load_file(tmp_path / name / "out" / WEIGHTS) for name in ("whole", "cut")]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def counted(method: Callable) -> Callable:
    """Tell the interruption which step has ended."""

    def on_step_end(self, args, state, control, **words):
        self.interruption.step = state.global_step
        return method(self, args, state, control, **words)

    return on_step_end


def interrupt(interruption: Interruption, at: int) -> bool:
    interruption.requested = interruption.step >= at
    return interruption.requested


@pytest.mark.parametrize("program", LOOPS)
def test_a_run_that_ended_early_trains_no_further(program: str, tiny: TinyModels, tmp_path: Path) -> None:
    before = run(program, tiny, tmp_path, "--early_stopping_patience", "1")
    after = run(program, tiny, tmp_path, "--early_stopping_patience", "1", "--resume_from_checkpoint", "True")
    assert after == before


def test_by_score_too(tiny: TinyModels, tmp_path: Path) -> None:
    log = run(INSTRUCT, tiny, tmp_path, "--metric_for_best_model", "score", "--probe_records", "1")
    scores = {entry["step"]: entry["score"] for entry in log if "score" in entry}
    assert list(scores) == [0, 2, 4, 6, 8]
    assert chosen(log)["value"] == max(list(scores.values())[1:])
    assert chosen(log)["chosen"] == "eval_score"


def test_the_best_is_found_in_a_folder_that_was_moved_and_missed_where_it_is_gone(
    tiny: TinyModels, tmp_path: Path
) -> None:
    best = chosen(run(INSTRUCT, tiny, tmp_path / "run"))["step"]
    moved = (tmp_path / "run").rename(tmp_path / "moved") / "out"
    words = (*CHOOSE, "--eval_files", str(tmp_path / "moved/valid.parquet"))
    args = small_run(tiny, tmp_path / "moved", *words, program=INSTRUCT).training
    state = read_state(moved / "checkpoint-8")
    (moved / WEIGHTS).unlink()
    ship(args, state)
    assert (moved / WEIGHTS).read_bytes() == (moved / f"checkpoint-{best}" / WEIGHTS).read_bytes()
    (moved / f"checkpoint-{best}").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"checkpoint-{best}: the checkpoint that validated best is gone"):
        ship(args, state)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric_for_best_model", "iou"], "must be loss or score"),
        (["--metric_for_best_model", "score"], "needs --probe_records"),
        (["--save_steps", "4"], "must be the same"),
    ],
)
def test_what_cannot_be_chosen_by_is_refused(
    words: list[str], message: str, tiny: TinyModels, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        run(TRAINER, tiny, tmp_path, *words)


def test_another_way_of_choosing_is_another_run(tiny: TinyModels, tmp_path: Path) -> None:
    run(INSTRUCT, tiny, tmp_path)
    identity = json.loads((tmp_path / "out/checkpoint-8/run.json").read_text())
    assert identity["selection"]["metric_for_best_model"] == "loss"
    with pytest.raises(UserError, match="selection differs"):
        words = ("--eval_steps", "1", "--save_steps", "1", "--resume_from_checkpoint", "True")
        run(INSTRUCT, tiny, tmp_path, *words)
