"""What optimizers keep, against what they have kept after a step."""

import pytest
import torch
from transformers import Trainer, TrainingArguments

from fragmodel.planning.optimizers import ADAMW, STATES, state_bytes


@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")
@pytest.mark.parametrize("name", STATES)
def test_bytes_are_those_of_a_real_optimizer(name: str, tmp_path) -> None:
    """One tensor large enough for 8 bits, whose last block is not full, and one that is not."""
    arguments = TrainingArguments(output_dir=str(tmp_path), optim=name, use_cpu=True, report_to="none")
    kind, options = Trainer.get_optimizer_cls_and_kwargs(arguments)
    weights = [torch.nn.Parameter(torch.randn(shape)) for shape in ((96, 100), (70,))]
    optimizer = kind(weights, **options)
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    kept = sum(
        value.nbytes
        for state in optimizer.state.values()
        for key, value in state.items()
        # The map from 8 bits to numbers is one for all tensors.
        if isinstance(value, torch.Tensor) and value.ndim and not key.startswith("qmap")
    )
    assert sum(state_bytes(name, weight.numel()) for weight in weights) == kept


def test_one_that_is_not_known_counts_as_adamw() -> None:
    assert state_bytes("stable_adamw", 5000) == state_bytes(ADAMW, 5000) == 40_000


def test_the_default_is_that_of_transformers(tmp_path) -> None:
    assert TrainingArguments(output_dir=str(tmp_path), use_cpu=True).optim == ADAMW
