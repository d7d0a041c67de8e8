"""How many tokens go through the model at once: by flag, by checkpoint, by the memory of a GPU that is told of."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_runs import ROWS, small_run
from tiny_models import TinyModels

from fragmodel.errors import UserError
from fragmodel.planning.data import PROMPT_TOKENS, Lengths
from fragmodel.planning.memory import MOST_TOKENS, USABLE, Planner
from fragmodel.training import loop, parts
from fragmodel.training.arguments import Arguments
from fragmodel.training.parts import micro_batch_tokens, recompute_if_needed, step_settings
from fragmodel.training.setup import TrainingSetup, prepare

LONGEST = max(len(row["sequence"]) for row in ROWS)
MIB = 2**20


@pytest.fixture(scope="module")
def setup(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> TrainingSetup:
    return prepare(small_run(tiny, tmp_path_factory.mktemp("run")))


def chosen(setup: TrainingSetup, arguments: Arguments) -> int:
    return micro_batch_tokens(arguments, setup.model, setup.train_dataset.datasets[0:1])


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A GPU of a given size, so far as the question about its memory goes; ``gpu(total, others)`` in bytes."""

    def make(arguments: Arguments, total: int, others: int = 0, held: int = 0) -> Arguments:
        monkeypatch.setattr(type(arguments.training), "device", SimpleNamespace(type="cuda"))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (total - others - held, total))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: held)
        return arguments

    return make


def planned(setup: TrainingSetup, arguments: Arguments, tokens: int) -> float:
    """Bytes of a step on so many tokens, by the plan."""
    config = setup.model.base_model.model.config
    planner = Planner(step_settings(arguments), config.esm_config, config.llama_config)
    lengths = Lengths(residues=LONGEST, prompt=PROMPT_TOKENS, answer=arguments.data.max_text_tokens)
    one, two = (planner.step(lengths, number, checkpointing=False).total for number in (1, 2))
    return one + (two - one) * (tokens / lengths.tokens - 1)


def test_as_many_as_the_plan_says_fit(
    setup: TrainingSetup, tiny: TinyModels, tmp_path: Path, gpu: Any
) -> None:
    arguments = small_run(tiny, tmp_path)
    sizes = [64 * MIB, 128 * MIB]
    found = [chosen(setup, gpu(arguments, size)) for size in sizes]
    assert LONGEST < found[0] < found[1] < MOST_TOKENS
    for size, tokens in zip(sizes, found, strict=True):
        assert planned(setup, arguments, tokens) <= USABLE * size < planned(setup, arguments, tokens + 256)


def test_what_others_hold_is_not_there_and_what_we_hold_is_planned_for(
    setup: TrainingSetup, tiny: TinyModels, tmp_path: Path, gpu: Any
) -> None:
    arguments = small_run(tiny, tmp_path)
    alone = chosen(setup, gpu(arguments, 128 * MIB))
    assert chosen(setup, gpu(arguments, 128 * MIB, held=50 * MIB)) == alone
    tokens = chosen(setup, gpu(arguments, 128 * MIB, others=50 * MIB))
    assert planned(setup, arguments, tokens) <= 78 * MIB and tokens < alone


def test_never_less_than_the_longest_record_and_no_more_than_a_gpu_needs(
    setup: TrainingSetup, tiny: TinyModels, tmp_path: Path, gpu: Any
) -> None:
    arguments = small_run(tiny, tmp_path)
    record = LONGEST + 2 + PROMPT_TOKENS + arguments.data.max_text_tokens
    assert chosen(setup, gpu(arguments, MIB)) == record
    assert chosen(setup, gpu(arguments, 2**40)) == MOST_TOKENS
    assert chosen(setup, gpu(small_run(tiny, tmp_path, "--micro_batch_tokens", "99"), MIB)) == 99


def test_layers_are_computed_again_where_a_record_would_not_fit(
    setup: TrainingSetup, tiny: TinyModels, tmp_path: Path, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(arguments: Arguments, total: float) -> str | None:
        return recompute_if_needed(gpu(arguments, int(total)), setup.model, setup.train_dataset.datasets[0:1])

    arguments = small_run(tiny, tmp_path)
    record = LONGEST + 2 + PROMPT_TOKENS + arguments.data.max_text_tokens
    needed = planned(setup, arguments, record) / USABLE
    assert told(arguments, needed + MIB) is None and not arguments.training.gradient_checkpointing
    assert "--gradient_checkpointing" in str(told(arguments, needed - MIB))
    assert arguments.training.gradient_checkpointing
    assert told(arguments, needed - MIB) is None, "it is on already"
    monkeypatch.setattr(parts, "gather_object", lambda found: [*found, True])
    assert told(small_run(tiny, tmp_path), 2**40), "another process needs it"


def test_all_gpus_take_what_fits_the_fullest(
    setup: TrainingSetup, tiny: TinyModels, tmp_path: Path, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "gather_object", lambda found: [*found, 4321, 9999])
    assert chosen(setup, gpu(small_run(tiny, tmp_path), 2**40)) == 4321


def test_processes_that_share_layers_take_batches_whole(
    setup: TrainingSetup, tiny: TinyModels, tmp_path: Path
) -> None:
    arguments = small_run(tiny, tmp_path)
    arguments.training.fsdp = True
    assert chosen(setup, arguments) == sys.maxsize


def test_a_run_that_goes_on_keeps_it_and_may_change_it(tiny: TinyModels, tmp_path: Path) -> None:
    words = ("--save_steps", "1", "--save_strategy", "steps")
    arguments = small_run(tiny, tmp_path, *words, "--micro_batch_tokens", "60", program="train_instruct.py")
    assert loop.train(prepare(arguments), arguments)
    noted = [
        json.loads(path.read_text())["micro_batch_tokens"] for path in (tmp_path / "out").rglob("run.json")
    ]
    assert noted == [60, 60]
    onward = ("--resume_from_checkpoint", "True")
    for extra, tokens in (((), 60), (("--micro_batch_tokens", "50"), 50)):
        arguments = small_run(tiny, tmp_path, *words, *onward, *extra)
        assert prepare(arguments).micro_batch_tokens == tokens
    named = ("--resume_from_checkpoint", str(tmp_path / "out" / "checkpoint-1"))
    assert prepare(small_run(tiny, tmp_path, *words, *named)).micro_batch_tokens == 60


@pytest.mark.parametrize("name", ["micro_batch_tokens", "perceiver_dim"])
def test_a_negative_number_is_refused(tiny: TinyModels, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"--{name} -1: must not be negative"):
        small_run(tiny, tmp_path, f"--{name}", "-1")


def test_the_plan_is_asked_about_the_command_line(tiny: TinyModels, tmp_path: Path) -> None:
    words = [
        "--use_dora",
        "--lora_rank",
        "8",
        "--perceiver_dim",
        "16",
        "--torch_dtype",
        "bfloat16",
        "--bf16",
        "--optim",
        "adafactor",
    ]
    settings = step_settings(small_run(tiny, tmp_path, *words))
    assert (settings.lora.use_dora, settings.lora.rank, settings.adapter.perceiver_dim) == (True, 8, 16)
    assert (settings.frozen, settings.computed, settings.optimizer) == ("bfloat16", "bfloat16", "adafactor")
    assert (settings.states, settings.decoder_bits, settings.processes) == (None, None, 1)
