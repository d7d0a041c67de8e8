"""A decoder in 8 or 4 bits: less memory, nearly the same loss, trained and loaded again, shared whole."""

from pathlib import Path
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
from transformers import AutoModelForCausalLM

from fragmodel.errors import UserError
from fragmodel.model import assemble
from fragmodel.model.loading import load_parts
from fragmodel.model.trained import save_trained
from fragmodel.prediction.merged_model import merge

ROWS = [referring_record(0), grounding_record(1), referring_record(2, (10, 20), "serine protease")]
ALL_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module", params=[8, 4])
def bits(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def parts(bits: int, tiny: TinyModels) -> tuple[Any, Any]:
    return build_model(tiny.spec(decoder_bits=bits, target_modules=ALL_LAYERS))


def linear_bytes(model: Any) -> int:
    layers = joined(model).llama_decoder.model.layers
    return sum(p.nbytes for name, p in layers.named_parameters() if "base_layer" in name)


def test_is_small_and_near_the_whole_model(parts: tuple[Any, Any], bits: int, tiny: TinyModels) -> None:
    (model, tokenizer), (whole, _) = parts, build_model(tiny.spec(target_modules=ALL_LAYERS))
    assert linear_bytes(model) == linear_bytes(whole) * bits // 32
    ours, exact = (m(**make_packed(ROWS, tokenizer)).loss.item() for m in (model, whole))
    assert ours != exact
    assert ours == pytest.approx(exact, rel={8: 0.01, 4: 0.05}[bits])


def test_packed_training_equals_a_padded_pass(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    reference = plain_loss(model, make_batch(ROWS, tokenizer))
    expected = gradients(model, reference)
    loss = model(**make_packed(ROWS, tokenizer)).loss
    # int8 rounds every product's input to float16.
    torch.testing.assert_close(loss, reference, rtol=2e-3, atol=0)
    found = gradients(model, loss)
    assert any("llama_decoder.model.layers.0" in name for name in found)
    assert_same_gradients(found, expected, tolerance=0.05)


def test_is_loaded_as_it_was_trained_and_shared_whole(
    parts: tuple[Any, Any], bits: int, tiny: TinyModels, tmp_path: Path
) -> None:
    model, tokenizer = parts
    spec = tiny.spec(decoder_bits=bits, target_modules=ALL_LAYERS)
    save_trained(model, tokenizer, spec, tmp_path / "model")
    batch = make_packed(ROWS, tokenizer)
    loaded = load_parts(tmp_path / "model")
    with torch.no_grad():
        expected = model.eval()(**batch).loss
        loaded.model.base_model.model.esm_encoder = loaded.encoder
        torch.testing.assert_close(loaded.model(**batch).loss, expected)
    whole = load_parts(tmp_path / "model", dtype="float32").model
    assert linear_bytes(whole) == linear_bytes(model) * 32 // bits
    merge(tmp_path / "model", tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    assert merged.llama_decoder.model.layers[0].self_attn.q_proj.weight.dtype == torch.float32


def test_says_what_is_missing(tiny: TinyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"bitsandbytes.*pip install 'fragmodel\[quantised\]'"):
        tiny.spec(decoder_bits=4).build(include_encoder=False)
