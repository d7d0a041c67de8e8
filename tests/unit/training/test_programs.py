"""The two training programs from the command line, as documented."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import TinyModels, build_tiny_models

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[3]
PROGRAMS = ("train_trainer.py", "train_instruct.py")
# 12 steps of 2 accumulated batches, several of them in a second pass over the data.
REPEATABLE = [
    *("--max_steps", "12", "--save_steps", "4", "--logging_steps", "1", "--gradient_accumulation_steps", "2"),
    *("--per_device_train_batch_size", "3", "--dataloader_num_workers", "2", "--learning_rate", "1e-3"),
    *("--lora_dropout", "0.1", "--report_to", "none", "--max_text_tokens", "32"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> TinyModels:
    return build_tiny_models(tmp_path_factory.mktemp("models"))


def command(
    program: str, models: TinyModels, output: Path, *options: str, launcher: tuple[str, ...] = ()
) -> list[str]:
    """The documented basic command line with paths of stand-ins."""
    return [
        *(sys.executable, *launcher, str(REPOSITORY / "workflow_scripts" / program)),
        *("--esm_path", str(models.encoder), "--llama_path", str(models.untied)),
        *("--root_dir", str(REPOSITORY / "data/sample"), "--data_name", "Venux_Motif"),
        *("--task_type", "referring_class", "--output_dir", str(output)),
        *("--intermediate_dim", "32", "--num_perceiver_heads", "4", "--lora_rank", "4"),
        *options,
    ]


def run(words: list[str], status: int = 0) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert result.returncode == status, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout + result.stderr


def losses(output: Path) -> dict[int, float]:
    lines = (output / "log.jsonl").read_text().splitlines()
    return {entry["step"]: entry["loss"] for entry in map(json.loads, lines) if "loss" in entry}


@pytest.fixture(scope="module")
def uninterrupted(models, tmp_path_factory) -> dict[str, Path]:
    folders = {}
    for program in PROGRAMS:
        folders[program] = tmp_path_factory.mktemp("uninterrupted")
        run(command(program, models, folders[program], *REPEATABLE))
    return folders


def test_both_programs_give_the_same_losses(uninterrupted):
    trainer, instruct = (losses(uninterrupted[program]) for program in PROGRAMS)
    assert list(trainer) == list(range(1, 13))
    assert trainer == pytest.approx(instruct, abs=1e-5)
    assert trainer[12] < trainer[1]


# The other program is killed in tests/workflow/test_faults.py, as a job of a run.
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_and_resumed_goes_on_as_if_nothing_had_been(number, models, uninterrupted, tmp_path):
    program = PROGRAMS[1]
    words = command(program, models, tmp_path, *REPEATABLE)
    process = subprocess.Popen(
        words,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoint-4/trainer_state.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    # A hard kill takes the data loaders along, as a node failure does; a polite one goes to the program.
    os.killpg(process.pid, number) if number == signal.SIGKILL else process.send_signal(number)
    assert process.wait() == (-signal.SIGKILL if number == signal.SIGKILL else 75)
    done = max(losses(tmp_path), default=0)
    assert done < 12, "the signal came before the end"
    output = run([*words, "--resume_from_checkpoint", "True"])
    assert "Resuming from step" in output
    assert losses(tmp_path) == pytest.approx(losses(uninterrupted[program]), abs=1e-6)


@pytest.mark.parametrize(
    ("program", "decoder", "more"),
    [
        (PROGRAMS[0], "untied", ()),
        (PROGRAMS[1], "tied", ()),
        (PROGRAMS[0], "tied", ("--decoder_bits", "4", "--gradient_checkpointing")),
        (PROGRAMS[1], "untied", ("--decoder_bits", "4")),
    ],
)
def test_two_ranks_average_to_one_process_whole_or_sharded(program, decoder, more, models, tmp_path):
    """The same global batch of 4 records: alone, as 2 on each of two ranks, and gone on with by FSDP half-way."""
    options = ("--max_steps", "4", "--logging_steps", "1", "--report_to", "none", "--lora_dropout", "0")
    options += ("--save_steps", "2", "--learning_rate", "1e-3", "--max_text_tokens", "32")
    options += ("--llama_path", str(getattr(models, decoder)), *more)
    options += ("--eval_strategy", "steps", "--eval_steps", "2", "--max_eval_samples", "4")
    alone, ranks = tmp_path / "alone", tmp_path / "ranks"
    run(command(program, models, alone, *options, "--per_device_train_batch_size", "4"))
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    words = command(program, models, ranks, *options, "--per_device_train_batch_size", "2", launcher=torchrun)
    run(words)
    # Steps after the first depend on the gradients of those before.
    assert losses(ranks) == pytest.approx(losses(alone), abs=1e-4)
    (ranks / "checkpoint-4").rename(tmp_path / "by_ddp")
    output = run([*words, "--fsdp", "--resume_from_checkpoint", "True"])
    assert losses(ranks) == pytest.approx(losses(alone), abs=1e-4)
    (held, of_all) = map(float, re.findall(r"Weights in each process: (\S+) of (\S+) MiB", output)[0])
    assert held == pytest.approx(of_all / 2, rel=0.05)
    assert_same_checkpoint(ranks / "checkpoint-4", tmp_path / "by_ddp")


def assert_same_checkpoint(one: Path, other: Path) -> None:
    """Whole weights and moments, the same but for rounding."""
    found, expected = (load_file(folder / "adapter_model.safetensors") for folder in (one, other))
    assert found.keys() == expected.keys()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    found, expected = (torch.load(folder / "optimizer.pt", weights_only=True) for folder in (one, other))
    assert found["param_groups"] == expected["param_groups"]
    torch.testing.assert_close(found["state"], expected["state"], rtol=1e-3, atol=1e-5)


def test_the_advanced_command_line(models, tmp_path):
    """As documented, with paths of stand-ins and small numbers; --fp16 needs a GPU and says so."""
    words = command(
        "train_trainer.py",
        models,
        tmp_path / "fragment_training",
        *("--overwrite_output_dir", "--num_train_epochs", "1", "--per_device_train_batch_size", "2"),
        *(
            "--per_device_eval_batch_size",
            "4",
            "--gradient_accumulation_steps",
            "8",
            "--evaluation_strategy",
            "epoch",
        ),
        *(
            "--save_strategy",
            "epoch",
            "--save_total_limit",
            "3",
            "--learning_rate",
            "1e-4",
            "--weight_decay",
            "0.01",
        ),
        *("--warmup_ratio", "0.1", "--logging_steps", "50", "--dataloader_num_workers", "4"),
        *(
            "--remove_unused_columns",
            "False",
            "--lora_rank",
            "64",
            "--lora_alpha",
            "128",
            "--lora_dropout",
            "0.1",
        ),
        *("--perceiver_latent_size", "1", "--num_perceiver_layers", "12", "--max_sequence_length", "1021"),
    )
    message = run([*words, "--fp16", "--torch_dtype", "float16"], status=2)
    assert "error: --fp16 needs a GPU and none is visible; on a CPU use --bf16 or neither" in message
    assert "Traceback" not in message
    output = run([*words, "--gradient_checkpointing"])
    for line in (
        "Model:",
        "PeftModel(",
        "Trainable parameters: ",
        "Training dataset size: 37",
        "Evaluation dataset size: ",
        "Starting training from scratch...",
        "Training completed!",
        "note: --evaluation_strategy is no option of transformers 5; taken as: --eval_strategy epoch",
        "note: --warmup_ratio is no option of transformers 5; taken as: --warmup_steps 0.1",
    ):
        assert line in output
    folder = tmp_path / "fragment_training"
    assert list(folder.glob("**/events.out.tfevents.*")), "TensorBoard by default"
    (checkpoint,) = folder.glob("checkpoint-*")
    assert {"optimizer.pt", "scheduler.pt", "adapter_model.safetensors", "trainer_state.json"} <= {
        path.name for path in checkpoint.iterdir()
    }


def test_a_file_system_that_takes_no_more_is_named_in_a_line(models, tmp_path):
    """A limit on the size of files stands for a full disk: the same calls fail."""
    options = ("--max_steps", "1", "--report_to", "none", "--save_steps", "1")
    words = command(PROGRAMS[1], models, tmp_path, *options)
    message = run(["sh", "-c", 'ulimit -f 40; exec "$0" "$@"', *words], status=2)
    assert "could not be written" in message or "choose another folder" in message
    assert "Traceback" not in message
    assert not [*tmp_path.glob("checkpoint-*/trainer_state.json")], "no checkpoint that only looks whole"


def test_a_checkpoint_of_another_run_is_refused(models, uninterrupted):
    folder = uninterrupted["train_trainer.py"]
    words = command("train_trainer.py", models, folder, *REPEATABLE, "--lora_alpha", "8")
    message = run([*words, "--resume_from_checkpoint", str(folder / "checkpoint-4")], status=2)
    assert "belongs to another run" in message
    assert "lora_alpha" in message
