"""Linear layers with LoRA's dropout, which the comparison with transformers and peft leaves out."""

import pytest
import torch
from tiny_models import TinyModels, build_model, joined

from fragmodel.model.projections import project


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_dropout_keeps_the_mean_of_the_update(tiny: TinyModels, dropout: float) -> None:
    """Over many rows of one input, forward and backward: what is dropped is made up for."""
    model, _ = build_model(tiny.spec(lora_dropout=dropout))
    layer = joined(model).llama_decoder.model.layers[0].self_attn.q_proj
    torch.manual_seed(1)
    row = torch.randn(1, layer.in_features)
    base = layer.base_layer(row)
    exact = project([layer.eval()], row, torch.float32)[0] - base

    rows = row.repeat(40_000, 1).requires_grad_()
    (found,) = project([layer.train()], rows, torch.float32)
    updates = found - base
    assert updates.std(0).max() > 0.01
    assert (updates.mean(0) - exact).norm() < 0.05 * exact.norm()

    weights = torch.randn(1, layer.out_features)
    (through,) = torch.autograd.grad((found * weights).sum(), rows)
    of_row = row.clone().requires_grad_()
    (expected,) = torch.autograd.grad(
        (project([layer.eval()], of_row, torch.float32)[0] * weights).sum(), of_row
    )
    frozen = weights @ layer.base_layer.weight
    assert (through.mean(0) - expected).norm() < 0.05 * (expected - frozen).norm()
