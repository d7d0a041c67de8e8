"""Every family of decoders, held to transformers and peft: padded, with logits of all tokens and eager attention."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import (
    HEADS,
    LAYERS,
    TinyModels,
    assert_same_gradients,
    build_model,
    gradients,
    grounding_record,
    joined,
    make_batch,
    make_dataset,
    make_packed,
    plain_loss,
    referring_record,
    write_decoder,
)
from transformers import AutoModelForCausalLM

from fragmodel.batching.answering import answer_prompts
from fragmodel.model.decoders import FAMILIES, decoder_config, has_fused_layers, token_scale
from fragmodel.model.loading import load_parts
from fragmodel.model.trained import ModelSpec, save_trained
from fragmodel.prediction.merged_model import merge
from fragmodel.vocabulary import LINEAR_LAYERS

ROWS = [referring_record(0), grounding_record(1), referring_record(2, (10, 20), "serine protease")]
NEW_TOKENS = 12
# Heads wider than their part of the model, and windows shorter than the records.
WINDOW = {"sliding_window": 16}
MIXED = {"layer_types": ["sliding_attention", "full_attention"]}
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"hidden_act": "relu", "attention_bias": True, "mlp_bias": True}),
    "mistral": ("mistral", {"head_dim": 16, "sliding_window": None}),
    "mistral, window": ("mistral", {"head_dim": 16, "sliding_window": 64}),
    "qwen2": ("qwen2", {"use_sliding_window": True, **WINDOW, **MIXED, "tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "gemma3_text": ("gemma3_text", {"head_dim": 16, "query_pre_attn_scalar": 20, **WINDOW, **MIXED}),
}


@pytest.fixture(scope="module", params=SETTINGS)
def spec(
    request: pytest.FixtureRequest, tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory
) -> ModelSpec:
    kind, settings = SETTINGS[request.param]
    folder = write_decoder(tmp_path_factory.mktemp(kind) / "decoder", kind, **settings)
    return tiny.spec(llama_path=str(folder), target_modules=list(LINEAR_LAYERS))


@pytest.fixture(scope="module")
def parts(spec: ModelSpec) -> tuple[Any, Any]:
    return build_model(spec)


def eager(model: Any) -> Any:
    """The model with transformers' plainest attention, until our next pass."""
    joined(model).llama_decoder.config._attn_implementation = "eager"
    return model


def test_every_family_is_tried() -> None:
    assert {kind for kind, _ in SETTINGS.values()} == set(FAMILIES)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_loss_and_gradients(parts: tuple[Any, Any], checkpointing: bool) -> None:
    model, tokenizer = parts
    reference = plain_loss(eager(model), make_batch(ROWS, tokenizer))
    expected = gradients(model, reference)
    passes: list[int] = []
    layer = joined(model).llama_decoder.model.layers[0]
    hook = layer.self_attn.o_proj.register_forward_hook(lambda *_: passes.append(1))
    if checkpointing:
        model.train().gradient_checkpointing_enable({"use_reentrant": False})
    try:
        loss = model(**make_packed(ROWS, tokenizer)).loss
        torch.testing.assert_close(loss, reference, rtol=1e-5, atol=1e-5)
        assert_same_gradients(gradients(model, loss), expected)
    finally:
        hook.remove()
        model.gradient_checkpointing_disable()
        model.eval()
    if not has_fused_layers(joined(model).config.llama_config):
        assert len(passes) == 1 + checkpointing


def test_the_padded_pass_afterwards(parts: tuple[Any, Any]) -> None:
    """It runs through the attention that our pass has put into the layers."""
    model, tokenizer = parts
    expected = plain_loss(eager(model), make_batch(ROWS, tokenizer))
    model(**make_packed(ROWS, tokenizer))
    torch.testing.assert_close(plain_loss(model, make_batch(ROWS, tokenizer)), expected, rtol=1e-5, atol=1e-5)


def test_answers_are_those_of_generate(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    batch = make_batch(ROWS, tokenizer, side="left", prompts_only=True)
    ids = eager(model.eval()).generate(
        **batch, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False
    )
    expected = ids[:, batch["input_ids"].shape[1] :].tolist()
    assert len({tuple(answer) for answer in expected}) == len(ROWS)  # the inputs matter
    dataset = make_dataset(ROWS, tokenizer, prompts_only=True)
    items = [dataset[number] for number in range(len(ROWS))]
    found = answer_prompts(model, items, end=-1, max_new_tokens=NEW_TOKENS)
    assert [answer.tokens for answer in found] == expected


def test_saved_loaded_and_merged_it_is_the_same(
    spec: ModelSpec, parts: tuple[Any, Any], tmp_path: Path
) -> None:
    model, tokenizer = parts
    save_trained(model, tokenizer, spec, tmp_path / "trained")
    batch = make_batch(ROWS, tokenizer)
    expected = plain_loss(eager(model), batch)
    packed = make_packed(ROWS, tokenizer)
    states = joined(model).encode_packed(packed.pop("protein_input_ids"), packed["protein_lengths"])
    loaded = load_parts(tmp_path / "trained", with_encoder=False).model
    loss = loaded(**packed, protein_hidden_states=states).loss
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    merge(tmp_path / "trained", tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert type(merged.llama_decoder) is type(joined(model).llama_decoder)
    torch.testing.assert_close(merged(**batch).loss, expected, rtol=1e-5, atol=1e-5)


def test_soft_tokens_begin_as_large_as_tokens(parts: tuple[Any, Any]) -> None:
    embeddings = joined(parts[0]).get_input_embeddings()
    scale = token_scale(joined(parts[0]).config.llama_config)
    weight = getattr(embeddings, "token_adapter", embeddings).base_layer.weight
    torch.testing.assert_close(embeddings(torch.arange(4, 9)), scale * weight[4:9])


def test_the_tiny_decoders_have_what_tells_them_apart(parts: tuple[Any, Any]) -> None:
    config = joined(parts[0]).config.llama_config
    assert config.num_key_value_heads < config.num_attention_heads == HEADS
    assert config.num_hidden_layers == LAYERS
    longest = max(make_packed(ROWS, parts[1])["lengths"].tolist())
    assert (getattr(config, "sliding_window", None) or 16) < longest


def test_a_configuration_of_another_family_is_refused() -> None:
    with pytest.raises(ValueError, match="is a 'gpt2' model; expected one of llama, mistral, "):
        decoder_config({"model_type": "gpt2"})
