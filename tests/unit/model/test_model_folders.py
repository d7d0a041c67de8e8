"""The joined model as a transformers model: its configuration and its folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import TinyModels, grounding_record, make_batch, referring_record
from transformers import AutoConfig, AutoModelForCausalLM

from fragmodel import Esm2LlamaInstructConfig, Esm2LlamaInstructForCausalLM
from fragmodel.errors import UserError
from fragmodel.model.assemble import assemble

ROWS = [referring_record(0), grounding_record(1)]


def make(tiny: TinyModels, tied: bool, include_encoder: bool) -> tuple[Any, Any]:
    model, tokenizer = assemble(
        tiny.encoder,
        tiny.tied if tied else tiny.untied,
        intermediate_dim=32,
        perceiver_latent_size=2,
        num_perceiver_heads=4,
        num_perceiver_layers=2,
        include_encoder=include_encoder,
    )
    return model.eval(), tokenizer


@pytest.mark.parametrize("include_encoder", [True, False], ids=["with_encoder", "without_encoder"])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_round_trip_through_a_folder(
    tiny: TinyModels, tmp_path: Path, tied: bool, include_encoder: bool
) -> None:
    model, tokenizer = make(tiny, tied, include_encoder)
    model.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.bin")) and list(tmp_path.glob("*.safetensors"))

    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, Esm2LlamaInstructConfig)
    assert (config.esm_config.num_hidden_layers, config.llama_config.num_hidden_layers) == (2, 2)
    for name in ("control_token_ids", "intermediate_dim", "perceiver_latent_size", "include_encoder"):
        assert getattr(config, name) == getattr(model.config, name), name
    assert config.tie_word_embeddings == tied

    again, report = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(again, Esm2LlamaInstructForCausalLM)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    state, expected = again.state_dict(), model.state_dict()
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(state[name], tensor), name
    head, embeddings = again.get_output_embeddings().weight, again.get_input_embeddings().weight
    assert (head.data_ptr() == embeddings.data_ptr()) == tied

    batch = make_batch(ROWS, tokenizer)
    if not include_encoder:
        ids = batch.pop("protein_input_ids")
        batch["protein_hidden_states"] = torch.randn(*ids.shape, model.config.esm_config.hidden_size)
    with torch.no_grad():
        first, second = model(**batch), again.eval()(**batch)
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(first.loss, second.loss)
    assert again.generation_config.eos_token_id == tokenizer.eos_token_id


def test_configuration_round_trips_by_itself(tmp_path: Path) -> None:
    config = Esm2LlamaInstructConfig(
        esm_config={"hidden_size": 20, "vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32},
        llama_config={"hidden_size": 32, "tie_word_embeddings": True},
        perceiver_latent_size=3,
        control_token_ids={"protein": 7},
    )
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert {**again.to_dict(), "_name_or_path": ""} == config.to_dict()
    assert again.esm_config.hidden_size == 20
    assert again.llama_config.hidden_size == 32
    assert again.tie_word_embeddings


def test_parts_keep_the_attention_they_were_loaded_with(tiny: TinyModels) -> None:
    model, _ = make(tiny, tied=False, include_encoder=True)
    assert model.esm_encoder.config._attn_implementation == "sdpa"
    assert model.llama_decoder.config._attn_implementation == "sdpa"


def test_eager_attention_can_be_asked_for(tiny: TinyModels, tmp_path: Path) -> None:
    model, tokenizer = make(tiny, tied=False, include_encoder=True)
    model.save_pretrained(tmp_path)
    eager = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    assert eager.esm_encoder.config._attn_implementation == "eager"
    assert eager.llama_decoder.config._attn_implementation == "eager"
    batch = make_batch(ROWS, tokenizer)
    with torch.no_grad():
        torch.testing.assert_close(eager(**batch).logits, model(**batch).logits, rtol=1e-3, atol=1e-4)


def test_half_precision_keeps_the_adapters_exact(tiny: TinyModels) -> None:
    model, tokenizer = assemble(
        tiny.encoder,
        tiny.untied,
        intermediate_dim=32,
        perceiver_latent_size=2,
        num_perceiver_heads=4,
        num_perceiver_layers=2,
        include_encoder=True,
        dtype=torch.bfloat16,
    )
    assert model.llama_decoder.dtype == model.esm_encoder.dtype == torch.bfloat16
    assert {p.dtype for p in model.modality_adapter.parameters()} == {torch.float32}
    exact, _ = make(tiny, tied=False, include_encoder=True)
    batch = make_batch(ROWS, tokenizer)
    with torch.no_grad():
        assert model.eval()(**batch).loss.item() == pytest.approx(exact(**batch).loss.item(), rel=0.05)


def test_a_folder_before_the_fragment_adapter_had_a_width(tiny: TinyModels, tmp_path: Path) -> None:
    model, _ = make(tiny, tied=False, include_encoder=False)
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    assert config.pop("perceiver_dim") == 0
    path.write_text(json.dumps(config))
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    state = again.fragment_adapter.state_dict()
    for name, tensor in model.fragment_adapter.state_dict().items():
        assert torch.equal(state[name], tensor), name


def test_heads_that_do_not_divide_the_width_are_a_users_mistake(tiny: TinyModels) -> None:
    with pytest.raises(UserError, match=r"num_perceiver_heads \(5\) must divide .*; try 4"):
        tiny.spec(num_perceiver_heads=5).build(include_encoder=False)
