"""The packed pass that training uses, against a padded pass through transformers and peft with all logits."""

from typing import Any

import pytest
import torch
from tiny_models import (
    TinyModels,
    assert_same_gradients,
    build_model,
    gradients,
    grounding_record,
    joined,
    make_batch,
    make_packed,
    plain_loss,
    referring_record,
)
from varlen_reference import use_reference

from fragmodel.batching.packing import micro_batches
from fragmodel.model import packed_decoder
from fragmodel.model.token_loss import IGNORED

MIXED = [referring_record(0), grounding_record(1), referring_record(2, (10, 20), "serine protease")]
ALL_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def parts(request: pytest.FixtureRequest, tiny: TinyModels) -> tuple[Any, Any]:
    return build_model(tiny.spec(tied=request.param, target_modules=ALL_LAYERS))


def test_loss_and_gradients_equal_the_padded_ones_over_all_logits(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    reference = plain_loss(model, make_batch(MIXED, tokenizer))
    expected = gradients(model, reference)
    output = model(**make_packed(MIXED, tokenizer))
    torch.testing.assert_close(output.loss, reference, rtol=1e-5, atol=1e-5)
    assert output.logits is None
    assert_same_gradients(gradients(model, output.loss), expected)


def test_one_attention_kernel_a_layer_gives_the_same(
    parts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = parts
    batch = make_packed(MIXED, tokenizer)
    loss = model(**batch).loss
    expected = gradients(model, loss)
    kernel = use_reference(monkeypatch)
    output = model(**batch)
    assert kernel.calls == len(joined(model).llama_decoder.model.layers)
    torch.testing.assert_close(output.loss, loss, rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(model, output.loss), expected)


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["k_proj", "down_proj"], ["up_proj", "o_proj"]])
def test_any_choice_of_layers_may_have_lora(tiny: TinyModels, targets: list[str]) -> None:
    model, tokenizer = build_model(tiny.spec(target_modules=targets))
    reference = plain_loss(model, make_batch(MIXED, tokenizer))
    expected = gradients(model, reference)
    assert_same_gradients(gradients(model, model(**make_packed(MIXED, tokenizer)).loss), expected)


def test_layers_that_are_called_as_they_are(parts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantised layers and other variants of LoRA keep their own forward pass."""
    model, tokenizer = parts
    expected = gradients(model, model(**make_packed(MIXED, tokenizer)).loss)
    monkeypatch.setattr("fragmodel.model.projections._is_plain", lambda layer: False)
    assert_same_gradients(gradients(model, model(**make_packed(MIXED, tokenizer)).loss), expected)


@pytest.mark.parametrize("max_tokens", [1, 200, 10_000])
def test_parts_of_a_batch_add_up_to_it(parts: tuple[Any, Any], max_tokens: int) -> None:
    model, tokenizer = parts
    batch = make_packed(MIXED, tokenizer)
    whole = model(**batch, num_items_in_batch=11).loss
    expected = gradients(model, whole)
    pieces = list(micro_batches(batch, max_tokens))
    assert len(pieces) == {1: 3, 200: 2, 10_000: 1}[max_tokens], batch["lengths"]
    loss = sum(model(**piece, num_items_in_batch=11).loss for piece in pieces)
    torch.testing.assert_close(loss, whole, rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(model, loss), expected)


def test_gradient_checkpointing_changes_no_gradient(
    tiny: TinyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout included: the second pass draws the same mask."""
    model, tokenizer = build_model(tiny.spec(lora_dropout=0.3, target_modules=ALL_LAYERS))
    batch = make_packed(MIXED, tokenizer)
    model.train()
    runs: list[int] = []
    project = packed_decoder.project
    monkeypatch.setattr(packed_decoder, "project", lambda *a, **k: (runs.append(1), project(*a, **k))[1])
    found, passes = [], []
    for _ in range(2):
        torch.manual_seed(7)
        runs.clear()
        found.append(gradients(model, model(**batch).loss))
        passes.append(len(runs))
        model.gradient_checkpointing_enable({"use_reentrant": False})
    assert passes[1] == 2 * passes[0] > 0  # each layer once forward, and once again in the backward pass
    assert_same_gradients(found[1], found[0])


def test_dropout_keeps_the_mean_and_differs_from_step_to_step(tiny: TinyModels) -> None:
    model, tokenizer = build_model(tiny.spec(lora_dropout=0.1, target_modules=ALL_LAYERS))
    batch = make_packed(MIXED, tokenizer)
    exact = model.eval()(**batch).loss.item()
    model.train()
    torch.manual_seed(3)
    with torch.no_grad():
        losses = torch.tensor([model(**batch).loss.item() for _ in range(200)])
    assert losses.unique().numel() > 150
    assert losses.mean().item() == pytest.approx(exact, abs=0.05)


def test_weights_in_half_give_the_loss_of_their_widened_values(parts: tuple[Any, Any]) -> None:
    """On a CPU without bfloat16 arithmetic products are computed in float32; with it, to bfloat16's precision."""
    model, tokenizer = parts
    batch = make_packed(MIXED, tokenizer)
    decoder = joined(model).llama_decoder
    frozen = [p for p in decoder.parameters() if not p.requires_grad]
    before = [p.data for p in frozen]
    try:
        for parameter in frozen:
            parameter.data = parameter.data.bfloat16().float()
        expected = model(**batch).loss
        for parameter in frozen:
            parameter.data = parameter.data.bfloat16()
        found = model(**batch).loss
    finally:
        for parameter, data in zip(frozen, before, strict=True):
            parameter.data = data
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("arithmetic", [False, True], ids=["widened", "bfloat16"])
def test_autocast_gives_the_exact_loss_and_gradients_to_its_precision(
    tiny: TinyModels, monkeypatch: pytest.MonkeyPatch, arithmetic: bool, checkpointing: bool
) -> None:
    """As ``--bf16`` runs it, on a CPU without bfloat16 arithmetic and on one with it: no further from float32 than
    the padded pass is under the same autocast.
    """
    monkeypatch.setattr("fragmodel.model.precision.cpu_has_bfloat16", lambda: arithmetic)
    model, tokenizer = build_model(tiny.spec(target_modules=ALL_LAYERS))
    padded, batch = make_batch(MIXED, tokenizer), make_packed(MIXED, tokenizer)
    exact = plain_loss(model, padded)
    expected = _joined(gradients(model, exact))
    with torch.autocast("cpu", torch.bfloat16):
        reference = _joined(gradients(model, plain_loss(model, padded)))
    if checkpointing:
        model.train()
        model.gradient_checkpointing_enable({"use_reentrant": False})
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(**batch).loss
    torch.testing.assert_close(loss, exact, rtol=0.02, atol=0.02)
    error = (_joined(gradients(model, loss)) - expected).norm() / expected.norm()
    assert error < 1.5 * (reference - expected).norm() / expected.norm()


def _joined(gradients: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([gradient.float().flatten() for gradient in gradients.values()])


def test_a_label_on_the_first_token_counts_nothing(parts: tuple[Any, Any]) -> None:
    """There is no row before it that could predict it."""
    model, tokenizer = parts
    batch = make_packed(MIXED, tokenizer)
    expected = model(**batch, num_items_in_batch=1).loss
    batch["labels"] = batch["labels"].clone()
    batch["labels"][batch["lengths"].cumsum(0) - batch["lengths"]] = 5
    torch.testing.assert_close(model(**batch, num_items_in_batch=1).loss, expected)


def test_stored_states_give_what_the_encoder_in_the_loop_gives(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    batch = make_packed(MIXED, tokenizer)
    expected = model(**batch).loss
    ids, lengths = batch.pop("protein_input_ids"), batch["protein_lengths"]
    states = joined(model).encode_packed(ids, lengths)
    torch.testing.assert_close(model(**batch, protein_hidden_states=states).loss, expected)
    assert (batch["labels"] != IGNORED).any()
