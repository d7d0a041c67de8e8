"""Which decoders and layers are taken, and when it is said that one is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import TinyModels
from transformers import AutoConfig

from fragmodel import Esm2LlamaInstructForCausalLM
from fragmodel.errors import UserError
from fragmodel.model.assemble import load_decoder
from fragmodel.vocabulary import LINEAR_LAYERS


def changed(tiny: TinyModels, folder: Path, **values: Any) -> Path:
    """The decoder's folder with other settings and without its weights."""
    shutil.copytree(tiny.untied, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))
    return folder


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping is 30.0 in its config.json; only None"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
        ({"attention_dropout": 0.1}, "attention_dropout is 0.1 in its config.json; only 0 is supported"),
        ({"model_type": "gpt2"}, "is a 'gpt2' model; expected one of llama, mistral, "),
        ({"model_type": "gemma3"}, "is a 'gemma3' model; expected one of"),
        ({"model_type": "nothing-known"}, "nothing-known"),
        ({}, "cannot be loaded: "),
    ],
)
def test_another_decoder_is_refused_before_its_weights_are_read(
    tiny: TinyModels, tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_decoder(changed(tiny, tmp_path / "decoder", **values), torch.float32)
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_joined_model_is_held_to_the_same(tiny: TinyModels, tmp_path: Path) -> None:
    model, _ = tiny.spec().build(include_encoder=False)
    config = model.base_model.model.config
    config.llama_config.attention_dropout = 0.1
    with pytest.raises(ValueError, match=r"attention_dropout is 0\.1"):
        Esm2LlamaInstructForCausalLM(config)


@pytest.mark.parametrize("name", ["v_porj", "embed_tokens", "lm_head", ".*_proj", "query"])
def test_an_unknown_layer_is_named(tiny: TinyModels, name: str) -> None:
    with pytest.raises(UserError) as caught:
        tiny.spec(target_modules=["q_proj", name]).build(include_encoder=False)
    assert f"LoRA: {name} is no linear layer of the decoder; choose from q_proj, " in str(caught.value)


def test_the_linear_layers_are_those_of_the_decoder(tiny: TinyModels) -> None:
    decoder, _ = load_decoder(tiny.untied, torch.float32)
    found = [name for name, part in decoder.model.layers[0].named_modules() if type(part) is torch.nn.Linear]
    assert [name.rpartition(".")[2] for name in found] == list(LINEAR_LAYERS)


def test_the_tiny_decoders_are_built_as_todays_are(tiny: TinyModels) -> None:
    """With grouped key heads and llama3 rope, which a test of the packed pass must not be blind to."""
    for folder in (tiny.untied, tiny.tied):
        config = AutoConfig.from_pretrained(folder)
        assert config.num_key_value_heads < config.num_attention_heads
        assert config.rope_parameters["rope_type"] == "llama3"
        exact = 10_000.0 ** -(torch.arange(6) / 6)
        scaled = load_decoder(folder, torch.float32)[0].model.rotary_emb.inv_freq / exact
        assert (scaled[0].item(), scaled[-1].item()) == pytest.approx((1, 1 / 8))
        assert ((scaled > 0.13) & (scaled < 0.99)).any()
