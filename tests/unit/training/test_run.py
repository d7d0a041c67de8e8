"""How a run ends that runs out of memory or lacks a package: one line that says what helps, and status 2."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from fragmodel.training import arguments, command_line, run, trainer
from fragmodel.training.flags import TRAINER


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has …"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_it_is_told_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(*_: object) -> bool:
        raise error

    monkeypatch.setattr(run, "check_command_line", lambda *_: None)
    monkeypatch.setattr(run, "_train", train)
    assert run.main(TRAINER, lambda: train, ["--lora_rank", "4"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: out of memory: lower --micro_batch_tokens, which changes no result")


def test_what_helps_most_for_the_least_comes_first() -> None:
    line = run.out_of_memory([])
    flags = ("micro_batch_tokens", "gradient_checkpointing", "bf16", "store", "optim", "decoder_bits")
    places = [line.index(f"--{flag}") for flag in flags]
    assert places == sorted(places)
    assert "per_device_train_batch_size" not in line, "a batch goes through the model in parts"


def test_what_has_been_done_is_not_named_again() -> None:
    line = run.out_of_memory(
        ["--gradient-checkpointing", "--bf16", "True", "--decoder_bits=8", "--micro_batch_tokens", "4096"]
    )
    assert "--micro_batch_tokens" in line and "--store" in line
    assert not any(flag in line for flag in ("checkpointing", "bf16", "decoder_bits"))


def test_processes_that_share_a_model_have_smaller_batches_left() -> None:
    line = run.out_of_memory(["--fsdp", "full_shard"])
    assert line.startswith("out of memory: a lower --per_device_train_batch_size")
    assert "--decoder_bits 4" in line
    assert not any(flag in line for flag in ("micro_batch_tokens", "--optim"))


def test_another_error_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: object) -> bool:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(run, "check_command_line", lambda *_: None)
    monkeypatch.setattr(run, "_train", train)
    with pytest.raises(RuntimeError, match="mat1"):
        run.main(TRAINER, lambda: train, [])


QUANTISED = "needs bitsandbytes, which is not installed: pip install 'fragmodel[quantised]'"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--report_to wandb", "pip install wandb"),
        ("--report_to mlflow", "pip install mlflow"),
        ("--report_to neptune", "pip install neptune"),
        ("--report_to dagshub", "pip install dagshub"),
        ("--report_to comet_ml", "pip install comet-ml"),
        ("--optim adamw_bnb_8bit", QUANTISED),
        ("--optim paged_adamw_8bit", QUANTISED),
        ("--optim lomo", "pip install lomo-optim"),
        ("--optim schedule_free_adamw", "pip install schedulefree"),
        ("--decoder_bits 4", QUANTISED),
        # Not read, with or without their packages.
        ("--deepspeed zero2.json", "--deepspeed: train_trainer.py does not read this option; leave it out"),
        (
            "--use_liger_kernel True",
            "--use_liger_kernel: train_trainer.py does not read this option; leave it",
        ),
    ],
)
def test_a_package_that_is_missing_is_a_line_with_its_command(
    words: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    absent = {"bitsandbytes", "wandb", "mlflow", "neptune", "dagshub"}
    for module in (command_line, arguments):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name in absent else find_spec(name))
    monkeypatch.setattr("transformers.trainer_optimizer.is_bitsandbytes_available", lambda: False)
    report = [] if "--report_to" in words else ["--report_to", "none"]
    given = f"--esm_path e --llama_path l --train_files a.parquet --output_dir {tmp_path} --use_cpu {words}"
    assert run.main(TRAINER, lambda: trainer.train, [*given.split(), *report]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --") and said in line
