"""The documented command lines, word for word."""

import os
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from fragmodel.errors import UserError
from fragmodel.training.arguments import Arguments, modernise, parse_arguments

BASIC = """
    --esm_path /models/esm --llama_path /models/llama --root_dir /data --data_name Venux_Dom
    --task_type referring_desc --output_dir {output} --num_train_epochs 3 --per_device_train_batch_size 4
    --learning_rate 2e-5
"""
ADVANCED = """
    --esm_path /path/to/esm2_t33_650M_UR50D --llama_path /path/to/Meta-Llama-3.1-8B-Instruct-hf
    --root_dir /path/to/fragment_data --data_name Venux_Dom --task_type referring_desc --output_dir {output}
    --overwrite_output_dir --num_train_epochs 5 --per_device_train_batch_size 2
    --per_device_eval_batch_size 4 --gradient_accumulation_steps 8 --evaluation_strategy epoch
    --save_strategy epoch --save_total_limit 3 --learning_rate 1e-4 --weight_decay 0.01 --warmup_ratio 0.1
    --logging_steps 50 --fp16 --dataloader_num_workers 4 --remove_unused_columns False --lora_rank 64
    --lora_alpha 128 --lora_dropout 0.1 --intermediate_dim 4096 --perceiver_latent_size 1
    --num_perceiver_heads 16 --num_perceiver_layers 12 --max_sequence_length 1021 --torch_dtype float16
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """--logging_dir writes to the environment; leave none of it behind."""
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "")
    monkeypatch.delenv("RANK", raising=False)


def parse(*extra: str, template: str = BASIC) -> Arguments:
    return parse_arguments([*template.format(output="/tmp/out").split(), *extra])


def test_basic_command_line() -> None:
    arguments = parse()
    assert arguments.model.esm_path == "/models/esm"
    assert arguments.data.data_name == ["Venux_Dom"]
    assert arguments.data.task_type == ["referring_desc"]
    assert arguments.training.num_train_epochs == 3
    assert arguments.training.per_device_train_batch_size == 4
    assert arguments.training.learning_rate == 2e-5


def test_documented_defaults() -> None:
    arguments = parse()
    assert (arguments.lora.lora_rank, arguments.lora.lora_alpha, arguments.lora.lora_dropout) == (32, 64, 0.1)
    assert arguments.training.report_to == ["tensorboard"]
    assert arguments.training.remove_unused_columns is False
    spec = arguments.spec()
    assert (spec.lora_rank, spec.lora_alpha, spec.lora_dropout, spec.dtype) == (32, 64, 0.1, "float32")


def test_advanced_command_line() -> None:
    arguments = parse(template=ADVANCED.replace("--fp16 ", "--bf16 "))
    training = arguments.training
    assert training.eval_strategy == "epoch"
    assert training.save_strategy == "epoch"
    assert training.get_warmup_steps(200) == 20
    assert (training.per_device_eval_batch_size, training.gradient_accumulation_steps) == (4, 8)
    assert (training.save_total_limit, training.logging_steps, training.dataloader_num_workers) == (3, 50, 4)
    assert training.bf16 and not training.fp16
    assert arguments.spec().model_dump() == {
        "esm_path": "/path/to/esm2_t33_650M_UR50D",
        "llama_path": "/path/to/Meta-Llama-3.1-8B-Instruct-hf",
        "intermediate_dim": 4096,
        "perceiver_latent_size": 1,
        "num_perceiver_heads": 16,
        "num_perceiver_layers": 12,
        "perceiver_dim": 512,
        "dtype": "float16",
        "decoder_bits": None,
        "lora_rank": 64,
        "lora_alpha": 128,
        "lora_dropout": 0.1,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        "use_dora": False,
        "use_rslora": False,
        "init_lora_weights": "default",
        "seed": 42,
        "encoder_layer": None,
    }


@pytest.mark.parametrize("words", [["--fp16"], ["--fp16", "True"], ["--fp16=true"]])
def test_fp16_needs_a_gpu(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="--fp16 needs a GPU and none is visible; on a CPU use --bf16"):
        parse(*words)


def test_fp16_switched_off_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not parse("--fp16", "False").training.fp16


@pytest.mark.parametrize(
    ("dropped", "modern"),
    [
        (["--evaluation_strategy", "steps"], ["--eval_strategy", "steps"]),
        (["--evaluation_strategy=steps"], ["--eval_strategy", "steps"]),
        (["--evaluation-strategy", "steps"], ["--eval_strategy", "steps"]),
        (["--warmup_ratio", "0.25"], ["--warmup_steps", "0.25"]),
        (["--warmup_ratio=0.25"], ["--warmup_steps", "0.25"]),
        (["--logging_dir", "logs/run1"], []),
        (["--group_by_length"], []),
        (["--group_by_length", "True"], []),
        (["--group_by_length=False"], []),
        (["--no_cuda"], ["--use_cpu"]),
        (["--per_gpu_train_batch_size", "3"], ["--per_device_train_batch_size", "3"]),
        (["--per_gpu_eval_batch_size=3"], ["--per_device_eval_batch_size", "3"]),
    ],
)
def test_dropped_spellings_are_mapped_with_a_note(
    dropped: list[str], modern: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert modernise(["--seed", "3", *dropped, "--bf16"]) == ["--seed", "3", *modern, "--bf16"]
    notes = capsys.readouterr().out.splitlines()
    assert len(notes) == 1
    assert notes[0].startswith(f"note: {dropped[0].partition('=')[0]} is no option of transformers 5")
    assert parse(*dropped).training.seed == 42  # transformers takes the outcome


def test_other_ranks_keep_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RANK", "1")
    assert modernise(["--evaluation_strategy", "no"]) == ["--eval_strategy", "no"]
    assert not capsys.readouterr().out


def test_logging_dir_reaches_tensorboard() -> None:
    parse("--logging_dir", "logs/run1")
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == "logs/run1"


def test_values_of_other_flags_pass_unchanged() -> None:
    words = ["--learning_rate=1e-4", "--seed", "-1", "--data_name", "a", "b", "--gradient_checkpointing"]
    assert modernise(words) == words


def test_every_transformers_flag_is_there() -> None:
    training = parse("--gradient_checkpointing", "--max_grad_norm", "0.5", "--report_to", "none").training
    assert training.gradient_checkpointing and training.max_grad_norm == 0.5
    assert training.report_to == []


def test_the_order_of_records_has_a_seed_of_its_own() -> None:
    assert parse("--seed", "3").order_seed == 3
    assert parse("--seed", "3", "--data_seed", "0").order_seed == 0


@pytest.mark.parametrize("words", [["--overwrite_output_dir"], ["--overwrite_output_dir", "True"]])
def test_overwriting_is_an_option_of_ours(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(*words).training.overwrite_output_dir
    assert not parse("--overwrite_output_dir=False").training.overwrite_output_dir
    assert "overwrite_output_dir" not in capsys.readouterr().out


class Devices:
    """``TrainingArguments._setup_devices`` on a machine with several GPUs and no launcher."""

    def __get__(self, arguments: Any, _: type) -> Any:
        if arguments is None:
            return self
        arguments.__dict__.setdefault("_n_gpu", 4)
        return torch.device("cpu")


def test_of_several_gpus_a_plain_program_keeps_to_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """nn.DataParallel would cut packed records along their first dimension."""
    monkeypatch.setattr(TrainingArguments, "_setup_devices", Devices())
    training = parse().training
    assert (training.n_gpu, training.train_batch_size) == (1, 4)
    said = capsys.readouterr().out
    assert "note: of 4 visible GPUs the first is used; for all of them: torchrun --nproc-per-node 4" in said


def test_several_data_sets_with_weights() -> None:
    arguments = parse("--data_name", "Venux_Dom", "Venux_Act", "--sampling_weights", "1", "2.5")
    assert arguments.data.data_name == ["Venux_Dom", "Venux_Act"]
    assert arguments.data.sampling_weights == [1.0, 2.5]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lora_rnak", "8"], "--lora_rnak"),
        (["--lora_rank", "many"], "--lora_rank"),
        (["--torch_dtype", "float8"], "--torch_dtype"),
        (["--task_type", "referring_all"], "--task_type referring_all: must be one of referring_desc"),
        (["--sampling_weights", "1", "2"], "2 weights for 1 data sets"),
        (["--sampling_weights", "-1"], "--sampling_weights: -1.0 is not positive"),
        (["--sampling_weights", "0"], "--sampling_weights: 0.0 is not positive"),
        (["--warmup_ratio", "5"], "--warmup_ratio 5: must be from 0 to below 1"),
        (["--warmup_ratio", "some"], "--warmup_ratio some: must be from 0 to below 1"),
        (["--warmup_ratio"], "--warmup_ratio needs a value"),
        (["--logging_dir"], "--logging_dir needs a value"),
        (["--eval_strategy", "sometimes"], "sometimes"),
        (["--fsdp"], "start several with torchrun"),
        (["--decoder_bits", "3"], "--decoder_bits"),
        (["--fsdp", "--decoder_bits", "8"], "--decoder_bits 8: cannot be sharded; --decoder_bits 4 can"),
        (["--train_files", "a.parquet", "--eval_strategy", "epoch"], "needs --eval_files"),
    ],
)
def test_mistakes_take_one_line(words: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "--decoder_bits" in words:
        monkeypatch.setenv("WORLD_SIZE", "2")  # for --fsdp
    with pytest.raises(UserError) as caught:
        parse(*words)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_one_process_under_torchrun_may_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a card of its own does, to try what several do."""
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert parse("--fsdp").training.fsdp


def test_a_stray_word_is_named() -> None:
    with pytest.raises(UserError, match="unexpected argument 'train'"):
        parse_arguments(["train", "--esm_path", "x"])


@pytest.mark.parametrize("missing", ["--esm_path", "--llama_path", "--root_dir", "--task_type"])
def test_required_arguments_are_named(missing: str) -> None:
    words = BASIC.format(output="/tmp/out").split()
    at = words.index(missing)
    with pytest.raises(UserError, match=missing):
        parse_arguments(words[:at] + words[at + 2 :])


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_ends_well(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments([flag])
    assert ended.value.code == 0
    text: Any = capsys.readouterr().out
    for flag in ("--load_model_checkpoint_path", "--target_modules", "--resume_from_checkpoint", "--store"):
        assert flag in text
