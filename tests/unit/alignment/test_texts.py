"""Text vectors against transformers' own hidden states, and the store that keeps them."""

import pytest
import torch
from tiny_models import LAYERS, TinyModels
from transformers import AutoModelForCausalLM, AutoTokenizer

from fragmodel.alignment.texts import TextStore, embed_texts, fingerprint_in, write_manifest
from fragmodel.errors import UserError

TEXTS = ["The zinc finger domain binds DNA.", "kinase", "It lies at (12,57) of 120 residues: a serine."]


@pytest.mark.parametrize("layer", [0, 1, LAYERS, -1, None])
def test_vectors_are_pooled_hidden_states(tiny: TinyModels, tmp_path, layer):
    """One text at a time, all layers run, no padding."""
    name = embed_texts(TEXTS, decoder=tiny.untied, store=tmp_path, layer=layer, batch_size=2)
    tokenizer = AutoTokenizer.from_pretrained(tiny.untied)
    model = AutoModelForCausalLM.from_pretrained(tiny.untied)
    for text, vector in zip(TEXTS, TextStore(tmp_path, name).get(TEXTS), strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids = torch.tensor([[tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]])
        with torch.no_grad():
            states = model(ids, output_hidden_states=True).hidden_states
        states = states[LAYERS // 2 if layer is None else layer][0, 1:]  # without the first token
        assert torch.allclose(vector, torch.cat([states.mean(0), states.std(0, correction=0)]), atol=2e-3)


def test_only_what_is_missing_is_computed(tiny: TinyModels, tmp_path, monkeypatch):
    name = embed_texts(TEXTS[:2], decoder=tiny.untied, store=tmp_path)
    written = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    assert embed_texts(TEXTS, decoder=tiny.untied, store=tmp_path) == name
    assert all(path.read_bytes() == content for path, content in written.items())
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    monkeypatch.setattr("fragmodel.alignment.texts.load_decoder", None)  # not needed any more
    assert embed_texts(TEXTS[::-1], decoder=tiny.untied, store=tmp_path) == name


def test_any_change_of_what_is_read_is_another_fingerprint(tiny: TinyModels, tmp_path):
    names = {
        embed_texts(["a"], decoder=decoder, store=tmp_path, **changes)
        for decoder in (tiny.untied, tiny.tied)
        for changes in ({}, {"layer": 0}, {"pooling": "mean"}, {"max_text_tokens": 9})
    }
    assert len(names) == 8
    same = [embed_texts(["a"], decoder=tiny.tied, store=tmp_path, segments=n, batch_size=n) for n in (2, 3)]
    assert same[0] == same[1], "segments count for segment_means alone"


def test_long_texts_are_cut_and_keep_their_end(tiny: TinyModels, tmp_path):
    name = embed_texts(
        ["kinase kinase", "kinase kinase kinase"], decoder=tiny.untied, store=tmp_path, max_text_tokens=1
    )
    first, second = TextStore(tmp_path, name).get(["kinase kinase", "kinase kinase kinase"])
    assert torch.allclose(first, second, atol=1e-5)


def test_a_damaged_file_is_left_out_and_made_again(tiny: TinyModels, tmp_path):
    name = embed_texts(TEXTS, decoder=tiny.untied, store=tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:-1] + bytes([content[-1] ^ 1])):
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match="damaged"):
            store = TextStore(tmp_path, name)
        with pytest.raises(UserError, match="no vector of the text"):
            store.get(TEXTS[:1])
        with pytest.warns(UserWarning, match="damaged"):
            embed_texts(TEXTS, decoder=tiny.untied, store=tmp_path)
        assert path.read_bytes() == content


@pytest.mark.parametrize("fault", ["damaged", "missing"])
def test_what_the_manifest_promises_is_made_again_by_the_next_run(tiny: TinyModels, tmp_path, fault):
    name = embed_texts(TEXTS, decoder=tiny.untied, store=tmp_path)
    manifest = tmp_path / "texts.json"
    write_manifest(manifest, tmp_path, name)
    assert fingerprint_in(manifest, tmp_path) == name
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(b"") if fault == "damaged" else path.unlink()
    with pytest.raises(UserError, match=f"{path.name}: {fault}.* start again") as caught:
        fingerprint_in(manifest, tmp_path)
    assert "\n" not in str(caught.value)
    assert not manifest.exists() and not path.exists()


def test_files_of_earlier_versions_are_read(tiny: TinyModels, tmp_path):
    name = embed_texts(TEXTS, decoder=tiny.untied, store=tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    vectors = TextStore(tmp_path, name).get(TEXTS)
    path.rename(path.with_name(path.name.split(".")[0] + ".safetensors"))
    assert torch.equal(TextStore(tmp_path, name).get(TEXTS), vectors)


def test_an_unknown_layer_is_refused(tiny: TinyModels, tmp_path):
    with pytest.raises(UserError, match="layer 9 does not exist: the model has layers 0 to 2"):
        embed_texts(TEXTS, decoder=tiny.untied, store=tmp_path, layer=9)
