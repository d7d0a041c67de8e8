"""The validation loss, against a textbook's cross-entropy, however the records are dealt."""

from typing import Any

import pytest
import torch
from accelerate import Accelerator
from tiny_models import (
    TinyModels,
    build_model,
    grounding_record,
    make_batch,
    make_dataset,
    plain_loss,
    referring_record,
)

from fragmodel.batching.packing import PackedCollator
from fragmodel.training.validation import validation_loss

ROWS = [
    referring_record(0),
    grounding_record(1),
    referring_record(2, (10, 20), "serine protease"),
    grounding_record(3, ((1, 4),)),
    referring_record(4, (2, 6)),
]


@pytest.fixture(scope="module")
def parts(tiny: TinyModels) -> tuple[Any, Any]:
    model, tokenizer = build_model(tiny.spec())
    return model.eval(), tokenizer


def loss_of(parts: tuple[Any, Any], accelerator: Any, batch_size: int = 2) -> float:
    model, tokenizer = parts
    dataset = make_dataset(ROWS, tokenizer)
    return validation_loss(
        model, dataset, PackedCollator(), batch_size=batch_size, workers=0, accelerator=accelerator
    )


class OneOfSeveral:
    """What an accelerator tells one of several processes; their sums are for the test to add up."""

    device = torch.device("cpu")

    def __init__(self, index: int, processes: int) -> None:
        self.process_index, self.num_processes = index, processes

    def reduce(self, sums: torch.Tensor) -> torch.Tensor:
        self.sums = sums
        return sums


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
def test_it_is_the_mean_over_all_target_tokens(parts: tuple[Any, Any], batch_size: int) -> None:
    model, tokenizer = parts
    expected = plain_loss(model, make_batch(ROWS, tokenizer)).item()
    assert loss_of(parts, Accelerator(cpu=True), batch_size) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_processes_count_each_record_once_in_as_many_passes(parts: tuple[Any, Any], processes: int) -> None:
    model, tokenizer = parts
    shares, passes = [OneOfSeveral(index, processes) for index in range(processes)], []
    for share in shares:
        counted: list[None] = []
        hook = model.register_forward_pre_hook(lambda *_, counted=counted: counted.append(None))
        loss_of(parts, share)
        hook.remove()
        passes.append(len(counted))
    assert len(set(passes)) == 1, "a sharded model needs every process in each pass"
    total, targets = sum(share.sums for share in shares)
    expected = plain_loss(model, make_batch(ROWS, tokenizer)).item()
    assert (total / targets).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_training_goes_on_as_if_it_had_not_been(parts: tuple[Any, Any], training: bool) -> None:
    model, _ = parts
    model.train(training)
    before = torch.get_rng_state()
    loss_of(parts, Accelerator(cpu=True))
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training == training and all(p.grad is None for p in model.parameters())
    model.eval()
