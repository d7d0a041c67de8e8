"""peft's variants of LoRA, held to peft's own layers in a padded pass, and to the base model that they begin as."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.optimizers import create_loraplus_optimizer
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
from transformers import AutoModelForCausalLM

from fragmodel.model.loading import load_parts
from fragmodel.model.trained import load_adapter_weights, read_spec, save_trained
from fragmodel.prediction.merged_model import merge
from fragmodel.training.optimizer import finished
from fragmodel.vocabulary import LINEAR_LAYERS, lora_fault

ROWS = [referring_record(0), grounding_record(1), referring_record(2, (10, 20), "serine protease")]
VARIANTS: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True},
    "dora, rslora": {"use_dora": True, "use_rslora": True, "init_lora_weights": "gaussian"},
    "rslora": {"use_rslora": True},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "pissa": {"init_lora_weights": "pissa"},
    "pissa, fast": {"init_lora_weights": "pissa_niter_4", "use_rslora": True},
    "olora": {"init_lora_weights": "olora"},
}
MOVING = {name: variant for name, variant in VARIANTS.items() if "lora" in name and "rslora" not in name} | {
    name: variant for name, variant in VARIANTS.items() if "pissa" in name
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_loss_and_gradients_are_those_of_peft(tiny: TinyModels, variant: dict[str, Any]) -> None:
    model, tokenizer = build_model(tiny.spec(target_modules=list(LINEAR_LAYERS), **variant))
    settings = model.peft_config["default"]
    assert (settings.use_dora, settings.use_rslora) == (
        variant.get("use_dora", False),
        variant.get("use_rslora", False),
    )
    assert settings.init_lora_weights == variant.get("init_lora_weights", True)
    assert any("magnitude" in name for name, _ in model.named_parameters()) == settings.use_dora
    reference = plain_loss(model, make_batch(ROWS, tokenizer))
    expected = gradients(model, reference)
    loss = model(**make_packed(ROWS, tokenizer)).loss
    torch.testing.assert_close(loss, reference, rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(model, loss), expected)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_it_begins_as_the_base_model(tiny: TinyModels, variant: dict[str, Any]) -> None:
    model, tokenizer = tiny.spec(**variant).build(include_encoder=True)
    plain, _ = tiny.spec().build(include_encoder=True)
    batch = make_batch(ROWS, tokenizer)
    expected = plain_loss(plain, batch)
    torch.testing.assert_close(plain_loss(model, batch), expected, rtol=1e-5, atol=1e-5)
    weight = joined(model).llama_decoder.model.layers[0].self_attn.q_proj.base_layer.weight
    untouched = joined(plain).llama_decoder.model.layers[0].self_attn.q_proj.base_layer.weight
    assert torch.equal(weight, untouched) != any(variant == moving for moving in MOVING.values())


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_saved_loaded_and_merged_it_is_the_same(
    tiny: TinyModels, tmp_path: Path, variant: dict[str, Any]
) -> None:
    spec = tiny.spec(target_modules=list(LINEAR_LAYERS), **variant)
    model, tokenizer = build_model(spec)
    batch = make_batch(ROWS, tokenizer)
    expected = plain_loss(model, batch)
    save_trained(model, tokenizer, spec, tmp_path / "trained")
    assert model.peft_config["default"].r == 4
    packed = make_packed(ROWS, tokenizer)
    states = joined(model).encode_packed(packed.pop("protein_input_ids"), packed["protein_lengths"])
    loaded = load_parts(tmp_path / "trained", with_encoder=False).model
    loss = loaded(**packed, protein_hidden_states=states).loss
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    merge(tmp_path / "trained", tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(merged(**batch).loss, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_resumed_run_has_the_same_weights(
    tiny: TinyModels, tmp_path: Path, variant: dict[str, Any]
) -> None:
    spec = tiny.spec(**variant)
    model, tokenizer = build_model(spec)
    save_trained(model, tokenizer, spec, tmp_path / "trained")
    again, _ = spec.build(include_encoder=True)
    load_adapter_weights(again, tmp_path / "trained")
    for (name, found), expected in zip(again.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7, msg=name)
    saved = read_spec(tmp_path / "trained")
    if variant in MOVING.values():
        assert (saved.lora_rank, saved.lora_alpha, saved.init_lora_weights) == (8, 16, "default")
    else:
        assert saved == spec


@pytest.mark.parametrize("variant", MOVING.values(), ids=MOVING)
def test_a_machine_that_decomposes_otherwise_goes_on_with_the_same_function(
    tiny: TinyModels, tmp_path: Path, variant: dict[str, Any]
) -> None:
    spec = tiny.spec(**variant)
    model, tokenizer = build_model(spec)
    save_trained(model, tokenizer, spec, tmp_path / "trained")
    other = {"olora": "pissa"}.get(variant["init_lora_weights"], "olora")
    again, _ = spec.model_copy(update={"init_lora_weights": other}).build(include_encoder=True)
    load_adapter_weights(again, tmp_path / "trained")
    batch = make_batch(ROWS, tokenizer)
    torch.testing.assert_close(plain_loss(again, batch), plain_loss(model, batch), rtol=1e-5, atol=1e-5)
    for (name, found), expected in zip(again.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init_lora_weights": "loftq"}, "loftq: not known; choose default, gaussian, "),
        ({"init_lora_weights": "pissa_niter_0"}, "not known"),
        ({"init_lora_weights": "pissa", "use_dora": True}, "pissa changes the base weights .* use_dora"),
        (
            {"init_lora_weights": "olora", "decoder_bits": 4},
            "olora changes the base weights, which decoder_bits",
        ),
        ({"init_lora_weights": "orthogonal", "rank": 3}, "needs an even rank, not 3"),
        ({"init_lora_weights": "pissa_niter_16", "use_rslora": True}, None),
        ({"use_dora": True, "decoder_bits": 4}, None),
    ],
)
def test_what_cannot_be_had_together_is_told(settings: dict[str, Any], message: str | None) -> None:
    settings = {"init_lora_weights": "default", "rank": 4, "use_dora": False, "decoder_bits": None} | settings
    settings.pop("use_rslora", None)
    fault = lora_fault(**settings)
    assert re.search(message, fault) if message else fault is None


def test_lora_plus_hurries_the_second_factors_as_peft_does(tiny: TinyModels) -> None:
    model, _ = tiny.spec().build(include_encoder=False)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    ours = finished(torch.optim.AdamW(trained, lr=0.01), model, 16.0)
    reference = create_loraplus_optimizer(model, torch.optim.AdamW, lr=0.01, loraplus_lr_ratio=16.0)
    rates = [
        {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
        for optimizer in (ours, reference)
    ]
    assert rates[0].keys() == rates[1].keys()
    for name, weight in model.named_parameters():
        if "lora_" in name:
            assert rates[0][id(weight)] == rates[1][id(weight)] == (0.16 if "lora_B" in name else 0.01)
        elif weight.requires_grad:  # peft's would hurry biases and norms of the adapters
            assert rates[0][id(weight)] == 0.01
