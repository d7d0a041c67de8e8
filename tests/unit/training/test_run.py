"""How a run ends that runs out of memory: one line, what helps most for the least first, and status 2."""

import pytest
import torch

from fragmodel.training import run
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
