"""Which checkpoints a run may go on from, keeps, and refuses."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fragmodel.errors import UserError
from fragmodel.training.arguments import Arguments, parse_arguments
from fragmodel.training.checkpoints import (
    announce,
    begin_checkpoint,
    check_output,
    last_checkpoint,
    remove_old,
    resume_point,
    run_identity,
    write_identity,
)
from fragmodel.training.random_state import load_random_state, save_random_state


def arguments(output: Path, *words: str) -> Arguments:
    required = ["--esm_path", "e", "--llama_path", "l", "--train_files", "a.parquet"]
    return parse_arguments([*required, "--output_dir", str(output), *words])


def make_checkpoint(output: Path, step: int, identity: dict[str, Any] | None = None) -> Path:
    folder = output / f"checkpoint-{step}"
    begin_checkpoint(folder)
    torch.save({}, folder / "optimizer.pt")
    write_identity(folder, identity or {}, 77)
    (folder / "trainer_state.json").write_text("{}")
    return folder


def identity_of(parsed: Arguments, processes: int = 1) -> dict[str, Any]:
    return run_identity(parsed, "0", processes)


def names(output: Path) -> set[str]:
    return {path.name for path in output.iterdir()}


def test_from_scratch_beside_an_earlier_run_is_refused(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 40)
    with pytest.raises(UserError, match="holds checkpoints of an earlier run, up to step 40: go on with"):
        check_output(arguments(tmp_path))
    check_output(arguments(tmp_path, "--resume_from_checkpoint", "True"))
    check_output(arguments(tmp_path, "--overwrite_output_dir"))
    check_output(arguments(tmp_path / "new"))


def test_overwriting_removes_the_checkpoints_and_nothing_else(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 40)
    make_checkpoint(tmp_path, 80)
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "runs").mkdir()
    announce(arguments(tmp_path, "--overwrite_output_dir").training, None)
    assert names(tmp_path) == {"checkpoint-best", "runs"}


def test_going_on_removes_nothing_though_overwriting_is_asked_for(tmp_path: Path) -> None:
    newest = make_checkpoint(tmp_path, 40)
    announce(arguments(tmp_path, "--overwrite_output_dir").training, newest)
    assert names(tmp_path) == {"checkpoint-40"}


def test_from_scratch_what_was_cut_off_goes(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-4").mkdir(parents=True)
    check_output(arguments(tmp_path))
    announce(arguments(tmp_path).training, None)
    assert not names(tmp_path)


def test_the_checkpoint_just_written_always_stays(tmp_path: Path) -> None:
    for step in (5, 9, 10, 300, 400):
        make_checkpoint(tmp_path, step)
    remove_old(tmp_path / "checkpoint-10", keep=2)
    assert names(tmp_path) == {"checkpoint-9", "checkpoint-10", "checkpoint-300", "checkpoint-400"}
    remove_old(tmp_path / "checkpoint-10", keep=None)
    assert len(names(tmp_path)) == 4


@pytest.mark.parametrize(
    ("keep", "left"), [(1, {2, 8}), (2, {2, 8}), (3, {2, 6, 8}), (4, {2, 4, 6, 8}), (None, {2, 4, 6, 8})]
)
def test_the_best_stays_beside_the_newest(tmp_path: Path, keep: int | None, left: set[int]) -> None:
    newest = [make_checkpoint(tmp_path, step) for step in (2, 4, 6, 8)][-1]
    remove_old(newest, keep, best=str(tmp_path / "checkpoint-2"))
    assert names(tmp_path) == {f"checkpoint-{step}" for step in left}


def test_a_checkpoint_that_is_written_again_is_not_whole_meanwhile(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 4)
    begin_checkpoint(make_checkpoint(tmp_path, 8))
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-4"


@pytest.mark.parametrize(
    ("words", "name", "values"),
    [
        ("--learning_rate 1e-4", "learning_rate", "5e-05 there, 0.0001 here"),
        ("--num_train_epochs 5", "num_train_epochs", "3.0 there, 5.0 here"),
        ("--num_train_epochs 1", "num_train_epochs", "3.0 there, 1.0 here"),
        ("--max_steps 9", "max_steps", "None there, 9 here"),
        ("--lr_scheduler_type cosine", "lr_scheduler_type", "linear there, cosine here"),
        ('--lr_scheduler_kwargs {"a":1}', "lr_scheduler_kwargs", "None there, {'a': 1} here"),
        ("--warmup_steps 7", "warmup_steps", "0 there, 7.0 here"),
        ("--optim adafactor", "optim", "adamw_torch_fused there, adafactor here"),
        ("--adam_beta1 0.8", "adam_beta1", "0.9 there, 0.8 here"),
        ("--adam_beta2 0.9", "adam_beta2", "0.999 there, 0.9 here"),
        ("--adam_epsilon 1e-6", "adam_epsilon", "1e-08 there, 1e-06 here"),
        ("--weight_decay 0.1", "weight_decay", "0.0 there, 0.1 here"),
        ("--max_grad_norm 2", "max_grad_norm", "1.0 there, 2.0 here"),
        ("--bf16", "bf16", "False there, True here"),
        ("--seed 5", "model", "seed: 42 there, 5 here"),
        ("--lora_alpha 8", "model", "lora_alpha: 64 there, 8 here"),
        ("--data_seed 5", "seed", "42 there, 5 here"),
        ("--per_device_train_batch_size 4", "records_per_step", "8 there, 4 here"),
        ("--max_text_tokens 4", "max_text_tokens", "512 there, 4 here"),
        ("--dataloader_drop_last", "dataloader_drop_last", "False there, True here"),
    ],
)
def test_another_run_is_refused_with_both_values(tmp_path: Path, words: str, name: str, values: str) -> None:
    before = identity_of(arguments(tmp_path))
    folder = make_checkpoint(tmp_path, 4, before)
    parsed = arguments(tmp_path, *words.split(), "--resume_from_checkpoint", str(folder))
    with pytest.raises(UserError) as caught:
        resume_point(parsed, identity_of(parsed))
    message = str(caught.value)
    assert f"belongs to another run: {name} differs ({values})" in message
    assert "What may change: how often to log" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "processes"),
    [
        ("--save_steps 7 --logging_steps 1 --save_total_limit 1 --dataloader_num_workers 2", 1),
        ("--micro_batch_tokens 64 --gradient_checkpointing", 1),
        ("--per_device_train_batch_size 2 --gradient_accumulation_steps 4", 1),
        ("--per_device_train_batch_size 4", 2),
        ("--num_train_epochs 3.0 --learning_rate 5e-5", 1),
    ],
)
def test_what_changes_no_weight_may_change(tmp_path: Path, words: str, processes: int) -> None:
    folder = make_checkpoint(tmp_path, 4, identity_of(arguments(tmp_path)))
    parsed = arguments(tmp_path, *words.split(), "--resume_from_checkpoint", "True")
    assert resume_point(parsed, identity_of(parsed, processes)) == folder


def test_epochs_do_not_matter_where_the_steps_are_given(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, 4, identity_of(arguments(tmp_path, "--max_steps", "9")))
    words = ("--max_steps", "9", "--num_train_epochs", "1", "--resume_from_checkpoint", "True")
    parsed = arguments(tmp_path, *words)
    assert resume_point(parsed, identity_of(parsed)) == folder


def test_what_an_earlier_version_did_not_note_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parsed = arguments(tmp_path, "--resume_from_checkpoint", "True")
    identity = identity_of(parsed)
    old = {name: value for name, value in identity.items() if name != "learning_rate"}
    folder = make_checkpoint(tmp_path, 4, old)
    assert json.loads((folder / "run.json").read_text()) == old | {"micro_batch_tokens": 77}
    assert resume_point(parsed, identity) == folder
    assert "does not say its learning_rate; it is taken to be 5e-05" in capsys.readouterr().out


def test_a_model_before_the_fragment_adapter_had_a_width_is_resumed_as_that(tmp_path: Path) -> None:
    identity = identity_of(arguments(tmp_path, "--perceiver_dim", "0"))
    del identity["model"]["perceiver_dim"]
    folder = make_checkpoint(tmp_path, 4, identity)
    words = ("--resume_from_checkpoint", "True")
    parsed = arguments(tmp_path, "--perceiver_dim", "0", *words)
    assert resume_point(parsed, identity_of(parsed)) == folder
    parsed = arguments(tmp_path, *words)
    with pytest.raises(UserError, match=r"model differs \(perceiver_dim: 0 there, 512 here\)"):
        resume_point(parsed, identity_of(parsed))


@pytest.mark.parametrize("processes", [1, 2])
def test_random_states_of_gpus_are_laid_out_as_the_trainers(
    processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is alone keeps the state of its own GPU, and may go on where fewer are visible."""
    accelerator: Any = SimpleNamespace(num_processes=processes, process_index=0)
    set_to: list[Any] = []
    for name, value in {
        "is_available": lambda: True,
        "get_rng_state": lambda: torch.ones(2),
        "get_rng_state_all": lambda: [torch.ones(2)] * 4,
        "set_rng_state": set_to.append,
        "set_rng_state_all": set_to.append,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    save_random_state(tmp_path, accelerator)
    load_random_state(tmp_path, accelerator)
    (found,) = set_to
    assert isinstance(found, torch.Tensor) if processes == 1 else len(found) == 4


def test_a_checkpoint_without_its_optimizer_cannot_be_resumed(tmp_path: Path) -> None:
    parsed = arguments(tmp_path, "--resume_from_checkpoint", "True")
    (make_checkpoint(tmp_path, 4, identity_of(parsed)) / "optimizer.pt").unlink()
    with pytest.raises(UserError, match=r"optimizer\.pt is missing"):
        resume_point(parsed, identity_of(parsed))
