import argparse
import re
import shutil

import pytest
import torch
from fair_esm_reference import load_esm2, make_esm1b, states, tokenize
from transformers import BertConfig, BertModel

from fragmodel.embeddings import alphabet
from fragmodel.embeddings.encoders import (
    build_stand_in,
    encoder_fingerprint,
    load_encoder,
    resolve_layer,
    save_encoder,
)
from fragmodel.errors import UserError

IN_ALPHABET = ["MKTAYIAKQRQISFVKSHFSRQ", "LAGVSERTIDPKQNFYMHWCXBUZO.-", "M", "-.OZUBX", "PPGFSPFRLLWWKD" * 9]


@pytest.mark.parametrize("kind", ["esm2", "esm1b", "esm1b without the first norm"])
def test_states_equal_fair_esm(kind, encoder_file, tmp_path) -> None:
    path = encoder_file
    if kind == "esm2":
        reference, layers = load_esm2(path), 3
    else:
        path = tmp_path / "esm1b.pt"
        reference, layers = make_esm1b(path, before=kind == "esm1b"), 2
    tokens = tokenize(IN_ALPHABET)
    mask = alphabet.attention_mask(tokens)
    ours = load_encoder(path)(tokens, attention_mask=mask).last_hidden_state
    expected = states(reference, tokens, layers)
    assert (ours - expected)[mask.bool()].abs().max() < 1e-5


def test_encoder_is_frozen_and_has_no_extras(encoder_file) -> None:
    model = load_encoder(encoder_file, dtype=torch.bfloat16)
    assert not model.training and model.pooler is None
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.config._attn_implementation == "sdpa"
    assert model.rotary_embeddings.inv_freq.dtype == torch.float32  # bfloat16 would blur positions


def test_saved_folder_has_the_same_states_and_fingerprint(encoder_file, tmp_path) -> None:
    save_encoder(load_encoder(encoder_file), tmp_path / "hf")
    assert (tmp_path / "hf" / "model.safetensors").is_file()
    tokens = tokenize(IN_ALPHABET[:1])
    first, second = (
        load_encoder(source)(tokens).last_hidden_state for source in (encoder_file, tmp_path / "hf")
    )
    assert torch.equal(first, second)
    assert encoder_fingerprint(encoder_file, -1, "int8") == encoder_fingerprint(tmp_path / "hf", 3, "int8")


def test_fingerprint_tells_weights_layer_and_dtype_apart(encoder_file, tmp_path) -> None:
    changed = tmp_path / "esm2_changed.pt"
    with torch.serialization.safe_globals([argparse.Namespace]):
        checkpoint = torch.load(encoder_file, weights_only=True)
    checkpoint["model"]["encoder.sentence_encoder.layers.1.fc2.bias"][5] += 1e-6
    torch.save(checkpoint, changed)
    marks = {
        encoder_fingerprint(encoder_file, -1, "bfloat16"),
        encoder_fingerprint(encoder_file, 1, "bfloat16"),
        encoder_fingerprint(encoder_file, -1, "float32"),
        encoder_fingerprint(changed, -1, "bfloat16"),
    }
    assert len(marks) == 4


def test_stand_in_is_deterministic_and_lively(encoder_file, tmp_path) -> None:
    again = tmp_path / "esm2_again.pt"
    build_stand_in(again, layers=3, dim=48, heads=4, seed=7)
    assert again.read_bytes() == encoder_file.read_bytes()
    other = tmp_path / "esm2_other.pt"
    build_stand_in(other, layers=3, dim=48, heads=4, seed=8)
    assert encoder_fingerprint(other, -1, "float32") != encoder_fingerprint(again, -1, "float32")
    model = load_encoder(again)
    alone, beside = (model(alphabet.encode([s])).last_hidden_state[0] for s in ("KKAKK", "KWAGK"))
    size = alone[3].norm()
    assert (alone[3] - beside[3]).norm() > 0.15 * size  # same letter, other neighbours
    assert (alone[3] - alone[2]).norm() > 0.3 * size  # another letter


def test_fair_esm_name_is_found_in_the_hub_cache(encoder_file, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match=r"not in the torch hub cache: download .*esm2_t3_1M_UR50D\.pt to "):
        load_encoder("esm2_t3_1M_UR50D")
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(encoder_file, tmp_path / "checkpoints" / "esm2_t3_1M_UR50D.pt")
    assert load_encoder("esm2_t3_1M_UR50D").config.num_hidden_layers == 3


class _Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_what_does_not_fit_is_refused(encoder_file, tmp_path, capsys) -> None:
    def refused(source, message: str) -> None:
        with pytest.raises(UserError, match=message) as caught:
            load_encoder(source)
        assert "\n" not in str(caught.value)

    torch.save({"cfg": {"model": _Evil()}, "model": {}}, tmp_path / "evil.pt")
    refused(tmp_path / "evil.pt", r"evil\.pt: refused: .*print")
    assert "code ran" not in capsys.readouterr().out
    (tmp_path / "cut.pt").write_bytes(encoder_file.read_bytes()[:5000])
    refused(tmp_path / "cut.pt", r"cut\.pt: ")
    refused(tmp_path / "none.pt", r"none\.pt: no such file")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    refused(tmp_path / "other.pt", "no fair-esm checkpoint")
    make_esm1b(tmp_path / "esm1.pt", arch="protein_bert_base")
    refused(tmp_path / "esm1.pt", "architecture 'protein_bert_base' is not supported")
    with torch.serialization.safe_globals([argparse.Namespace]):
        checkpoint = torch.load(encoder_file, weights_only=True)
    checkpoint["model"].pop("encoder.sentence_encoder.layers.1.fc1.weight")
    torch.save(checkpoint, tmp_path / "hole.pt")
    refused(tmp_path / "hole.pt", r"do not fit .*encoder\.layer\.1\.intermediate\.dense\.weight")
    BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(
        tmp_path / "bert"
    )
    refused(tmp_path / "bert", "holds a 'bert' model")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "neither a fair-esm")
    refused("esm", "no such file or folder, and neither the name of a fair-esm model .* nor a hub id")
    refused(tmp_path / "nowhere", "no such file or folder")


def test_folder_with_a_missing_weight_is_refused(encoder_file, tmp_path) -> None:
    model = load_encoder(encoder_file)
    state = model.state_dict()
    del state["encoder.layer.0.output.dense.weight"]
    model.save_pretrained(tmp_path / "hf", state_dict=state)
    with pytest.raises(UserError, match=re.escape("encoder.layer.0.output.dense.weight")):
        load_encoder(tmp_path / "hf")


def test_layers_count_from_both_ends() -> None:
    assert [resolve_layer(6, layer) for layer in (-1, 6, -7, 0, 3)] == [6, 6, 0, 0, 3]
    for layer in (7, -8):
        with pytest.raises(UserError, match="layers 0 to 6"):
            resolve_layer(6, layer)
