"""Soft tokens, loss and gradients of the joined model."""

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

from fragmodel.model.token_loss import IGNORED

MIXED = [referring_record(0), grounding_record(1), referring_record(2, (10, 20), "serine protease")]


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def parts(request: pytest.FixtureRequest, tiny: TinyModels) -> tuple[Any, Any]:
    return build_model(tiny.spec(tied=request.param))


def test_loss_and_gradients_equal_those_over_all_logits(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    batch = make_batch(MIXED, tokenizer)
    reference = plain_loss(model, batch)
    expected = gradients(model, reference)
    output = model(**batch)
    torch.testing.assert_close(output.loss, reference, rtol=1e-5, atol=1e-5)
    assert output.logits.shape == ((batch["labels"] != IGNORED).sum(), len(tokenizer))
    assert_same_gradients(gradients(model, output.loss), expected)


def test_items_in_batch_divide_the_sum_of_losses(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    batch = make_batch(MIXED, tokenizer)
    reference = plain_loss(model, batch, reduction="sum") / 37
    expected = gradients(model, reference)
    loss = model(**batch, num_items_in_batch=torch.tensor(37)).loss
    torch.testing.assert_close(loss, reference, rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(model, loss), expected)


def test_a_mixed_batch_is_the_sum_of_its_records(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    alone = [model(**make_batch([row], tokenizer), num_items_in_batch=1).loss for row in MIXED]
    together = model(**make_batch(MIXED, tokenizer), num_items_in_batch=1).loss
    torch.testing.assert_close(together, sum(alone), rtol=1e-5, atol=1e-5)


def test_gradients_reach_every_trained_part(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    found = gradients(model, model(**make_batch(MIXED, tokenizer)).loss)
    for part in ("modality_adapter", "fragment_adapter", "lora_A", "lora_B", "trainable_tokens"):
        of_part = {name: gradient for name, gradient in found.items() if part in name}
        assert of_part, part
        for name, gradient in of_part.items():
            assert gradient is not None and gradient.abs().sum() > 0, name
    assert not any("esm_encoder" in name for name in found)


def test_without_a_fragment_every_parameter_still_has_a_gradient(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    found = gradients(model, model(**make_batch([grounding_record(0), grounding_record(1)], tokenizer)).loss)
    for name, gradient in found.items():
        assert gradient is not None, name
        assert ("fragment_adapter" not in name) or not gradient.any(), name


@pytest.mark.parametrize(("start", "end"), [(5, 8), (0, 3), (19, 22)])  # of 22 residues
def test_fragment_tokens_see_the_fragment_alone(parts: tuple[Any, Any], start: int, end: int) -> None:
    """Through the whole path from encoder states to the decoder's inputs."""
    model, tokenizer = parts
    inner = joined(model)
    batch = make_batch([referring_record(0, (start, end))], tokenizer)
    mask, residues = batch["protein_attention_mask"], int(batch["protein_attention_mask"].sum()) - 2
    states = torch.randn(1, residues + 2, inner.config.esm_config.hidden_size)
    control = inner.config.control_token_ids

    @torch.no_grad()
    def soft_tokens(states: torch.Tensor, name: str) -> torch.Tensor:
        embeddings = inner.embed_inputs(batch["input_ids"], states, mask, batch["position_ref"])
        return embeddings[batch["input_ids"] == control[name]]

    before = soft_tokens(states, "fragment")
    assert before.shape == (2, inner.config.llama_config.hidden_size)
    changing = []
    for row in range(residues + 2):
        changed = states.clone()
        changed[0, row] += torch.linspace(-1, 1, states.shape[-1])
        if not torch.equal(soft_tokens(changed, "fragment"), before):
            changing.append(row)
        # Each state becomes the placeholder of its own place, BOS and EOS included.
        differs = (soft_tokens(changed, "protein") != soft_tokens(states, "protein")).any(-1)
        assert differs.nonzero().flatten().tolist() == [row]
    assert changing == list(range(start + 1, end + 1))


def test_gradient_checkpointing_changes_no_gradient(tiny: TinyModels) -> None:
    model, tokenizer = build_model(tiny.spec())
    batch = make_batch(MIXED, tokenizer)
    model.train()
    expected = gradients(model, model(**batch).loss)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    decoder = joined(model).llama_decoder.model
    assert decoder.layers[0].gradient_checkpointing
    passes = []
    decoder.layers[0].mlp.register_forward_pre_hook(lambda *_: passes.append(1))
    found = gradients(model, model(**batch).loss)
    assert len(passes) == 2  # once forward, once again in the backward pass
    assert_same_gradients(found, expected)


def test_encoder_stays_frozen_and_in_evaluation_mode(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    model.train()
    inner = joined(model)
    assert inner.llama_decoder.training and inner.modality_adapter.training
    assert not any(module.training for module in inner.esm_encoder.modules())
    assert not any(parameter.requires_grad for parameter in inner.esm_encoder.parameters())
    batch = make_batch(MIXED, tokenizer)
    states = inner.encode_protein(batch["protein_input_ids"], batch["protein_attention_mask"])
    assert not states.requires_grad


@pytest.mark.parametrize("name", ["protein", "fragment"])
@pytest.mark.parametrize("make", [make_batch, make_packed], ids=["padded", "packed"])
def test_placeholders_must_match_each_record(parts: tuple[Any, Any], make: Any, name: str) -> None:
    """Also where one record has too many and another too few: the soft tokens would go to the wrong one."""
    model, tokenizer = parts
    placeholder = joined(model).config.control_token_ids[name]
    batch = make(MIXED, tokenizer)
    ids = batch["input_ids"]
    records = ids.split(batch["lengths"].tolist()) if "lengths" in batch else ids
    records[0][(records[0] == placeholder).nonzero()[0]] = 5
    records[2][0] = placeholder
    with pytest.raises(ValueError, match=f"record 0 of the batch has .* {name} placeholder tokens for"):
        model(**batch)


def test_a_fragment_placeholder_without_a_fragment_is_an_error(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    batch = make_batch([referring_record(0)], tokenizer)
    batch["position_ref"] = torch.tensor([[-1, -1]])
    with pytest.raises(ValueError, match="2 fragment placeholder tokens for 0 soft tokens"):
        model(**batch)


def test_without_an_encoder_the_states_must_be_given(tiny: TinyModels) -> None:
    model, tokenizer = build_model(tiny.spec(), include_encoder=False)
    with pytest.raises(ValueError, match="protein_hidden_states"):
        model(**make_batch(MIXED, tokenizer))
