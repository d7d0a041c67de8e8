"""Optimizers by ``--optim``: what they decay; bitsandbytes' are taken and resumed; what cannot run is refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_runs import small_run
from tiny_models import TinyModels
from torch.utils._pytree import tree_leaves

from fragmodel.errors import UserError
from fragmodel.training import loop, trainer
from fragmodel.training.flags import INSTRUCT, TRAINER
from fragmodel.training.optimizer import check_optimizer, make_optimizer
from fragmodel.training.setup import prepare

# The fragment adapter's matrices have more than 4,096 weights, which is where 8 bits begin.
EIGHT_BITS = (
    "--optim",
    "adamw_bnb_8bit",
    "--save_steps",
    "2",
    "--max_steps",
    "4",
    "--lr_scheduler_type",
    "constant",
)


def train(program: str, tiny: TinyModels, folder: Path, *words: str) -> dict[str, torch.Tensor]:
    arguments = small_run(tiny, folder, *EIGHT_BITS, *words, program=program)
    assert {TRAINER: trainer.train, INSTRUCT: loop.train}[program](prepare(arguments), arguments)
    return load_file(folder / "out" / "adapter_model.safetensors")


def test_both_programs_keep_moments_of_8_bits_and_resume_them(tiny: TinyModels, tmp_path: Path) -> None:
    whole = {}
    for program in (TRAINER, INSTRUCT):
        folder = tmp_path / program
        folder.mkdir()
        whole[program] = train(program, tiny, folder)
        state = torch.load(folder / "out" / "checkpoint-2" / "optimizer.pt", weights_only=True)["state"]
        assert {torch.uint8, torch.float32} <= {
            leaf.dtype for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor)
        }
        point = folder / "out" / "checkpoint-2"
        resumed = train(program, tiny, folder, "--resume_from_checkpoint", str(point))
        assert all(torch.equal(resumed[name], value) for name, value in whole[program].items())
    for name, value in whole[TRAINER].items():
        torch.testing.assert_close(whole[INSTRUCT][name], value, rtol=1e-4, atol=1e-6)


def test_weights_of_one_dimension_are_not_decayed(tiny: TinyModels, tmp_path: Path) -> None:
    """They are the biases and the scales of norms."""
    arguments = small_run(tiny, tmp_path, "--weight_decay", "0.1", program=INSTRUCT)
    model = prepare(arguments).model
    groups = make_optimizer(model, arguments.training).param_groups
    decays = {id(weight): group["weight_decay"] for group in groups for weight in group["params"]}
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    found = {name: decays.pop(id(weight)) for name, weight in trained.items()}
    assert not decays and {*found.values()} == {0.0, 0.1}
    assert found == {name: 0.1 if weight.dim() > 1 else 0.0 for name, weight in trained.items()}


def test_a_paged_one_needs_a_gpu_and_says_what_runs_without(tiny: TinyModels, tmp_path: Path) -> None:
    """bitsandbytes would warn and keep all where it is."""
    for name in ("paged_adamw_8bit", "paged_adamw_32bit", "paged_lion_8bit"):
        with pytest.raises(
            UserError, match=f"--optim {name}: .*none is used; --optim adamw_bnb_8bit runs any"
        ):
            check_optimizer(small_run(tiny, tmp_path, "--optim", name).training)


def test_a_paged_one_is_taken_where_there_is_a_gpu(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = small_run(tiny, tmp_path, "--optim", "paged_adamw_8bit").training
    monkeypatch.setattr(type(training), "device", SimpleNamespace(type="cuda"))
    check_optimizer(training)


@pytest.mark.parametrize("name", ["adamw_bnb_8bit", "paged_adamw_8bit", "lion_8bit"])
def test_states_of_bitsandbytes_are_not_sharded(tiny: TinyModels, tmp_path: Path, name: str) -> None:
    training: Any = small_run(tiny, tmp_path, "--optim", name).training
    training.fsdp = True
    with pytest.raises(UserError, match=f"--optim {name}: its states cannot be sharded; leave --fsdp out"):
        check_optimizer(training)


def test_a_missing_package_is_named_with_its_command(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.trainer_optimizer.is_bitsandbytes_available", lambda: False)
    with pytest.raises(UserError) as caught:
        check_optimizer(small_run(tiny, tmp_path, "--optim", "adamw_8bit").training)
    assert str(caught.value) == (
        "--optim adamw_8bit: needs bitsandbytes, which is not installed: pip install 'fragmodel[quantised]'"
    )
