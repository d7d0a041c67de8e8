"""The variants of LoRA as flags of both programs and keys of the config, and a run with them that is interrupted."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_runs import small_run
from tiny_models import TinyModels

from fragmodel.config.run import parse_config
from fragmodel.config.training import AdapterConfig, LoraConfig, TrainingConfig
from fragmodel.digests import drop_digests
from fragmodel.errors import UserError
from fragmodel.training import loop, trainer
from fragmodel.training.flags import INSTRUCT, TRAINER
from fragmodel.training.program_arguments import as_flags, program_arguments
from fragmodel.training.setup import prepare
from fragmodel.vocabulary import LINEAR_LAYERS

TRAIN = {TRAINER: trainer.train, INSTRUCT: loop.train}
PISSA = ("--init_lora_weights", "pissa", "--loraplus_lr_ratio", "4", "--lora_dropout", "0.1")
DATASETS = {"VenusX_Dom": {"train": "train.json", "test": "test.json"}}


def run(program: str, tiny: TinyModels, folder: Path, *words: str) -> Path:
    arguments = small_run(tiny, folder, *PISSA, "--save_steps", "2", *words, program=program)
    assert TRAIN[program](prepare(arguments), arguments)
    return Path(arguments.training.output_dir)


@pytest.mark.parametrize("program", [TRAINER, INSTRUCT])
def test_a_resumed_run_ends_with_the_weights_of_a_whole_one(
    tiny: TinyModels, tmp_path: Path, program: str
) -> None:
    whole = run(program, tiny, tmp_path / "whole", "--max_steps", "4")
    checkpoint = str(whole / "checkpoint-2")
    again = run(program, tiny, tmp_path / "again", "--max_steps", "4", "--resume_from_checkpoint", checkpoint)
    expected, found = (load_file(folder / "adapter_model.safetensors") for folder in (whole, again))
    assert expected.keys() == found.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=0, msg=name)
    assert (
        json.loads((whole / "adapter_config.json").read_text())["r"] == 8
    )  # twice the rank, on the base as it was
    with pytest.raises(UserError, match="loraplus_lr_ratio differs"):
        words = ("--max_steps", "4", "--resume_from_checkpoint", checkpoint, "--loraplus_lr_ratio", "2")
        run(program, tiny, tmp_path / "other", *words)


def test_a_checkpoint_from_before_the_variants_is_resumed(tiny: TinyModels, tmp_path: Path) -> None:
    words = ("--lora_dropout", "0", "--save_steps", "1")
    first = small_run(tiny, tmp_path, *words, "--max_steps", "1", program=INSTRUCT)
    assert loop.train(prepare(first), first)
    path = tmp_path / "out" / "checkpoint-1" / "run.json"
    identity = json.loads(path.read_text())
    for name in ("use_dora", "use_rslora", "init_lora_weights"):
        del identity["model"][name]
    identity["max_steps"] = 2
    path.write_text(json.dumps(identity))
    drop_digests(path.parent)  # there were none either
    again = small_run(
        tiny, tmp_path, *words, "--max_steps", "2", "--resume_from_checkpoint", "True", program=INSTRUCT
    )
    assert loop.train(prepare(again), again)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--init_lora_weights", "eva"), "--init_lora_weights eva: not known; choose default, gaussian"),
        (
            ("--init_lora_weights", "pissa", "--use_dora"),
            "--init_lora_weights pissa changes the base weights",
        ),
        (("--loraplus_lr_ratio", "0.5"), "--loraplus_lr_ratio 0.5: must be 1 or more"),
    ],
)
def test_what_cannot_be_is_told_before_a_model_is_read(
    tiny: TinyModels, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        small_run(tiny, tmp_path, *words)


def test_all_linear_stands_for_all(tiny: TinyModels, tmp_path: Path) -> None:
    arguments = small_run(tiny, tmp_path, "--target_modules", "all-linear")
    assert arguments.spec().target_modules == list(LINEAR_LAYERS)
    run_config = parse_config({"datasets": DATASETS, "lora": {"target_modules": ["all-linear"]}})
    assert run_config.lora.target_modules == list(LINEAR_LAYERS)
    assert run_config.lora == parse_config({"datasets": DATASETS}).lora


def test_the_config_has_the_same(tiny: TinyModels, tmp_path: Path) -> None:
    lora = {"use_dora": True, "use_rslora": True, "init_lora_weights": "gaussian", "loraplus_lr_ratio": 16}
    flags = as_flags(program_arguments(AdapterConfig(), LoraConfig(**lora), TrainingConfig(), 1, False))
    arguments = small_run(tiny, tmp_path, *flags)
    spec = arguments.spec()
    assert arguments.lora.loraplus_lr_ratio == 16
    assert (spec.use_dora, spec.use_rslora, spec.init_lora_weights) == (True, True, "gaussian")
    with pytest.raises(UserError, match=r"lora.init_lora_weights pissa changes the base weights"):
        parse_config({"datasets": DATASETS, "lora": {"init_lora_weights": "pissa", "use_dora": True}})
