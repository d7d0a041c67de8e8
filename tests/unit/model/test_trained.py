"""Trained weights on disk: all of them, and nothing that does not fit."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import (
    TinyModels,
    build_model,
    gradients,
    grounding_record,
    joined,
    make_batch,
    referring_record,
)

from fragmodel.digests import drop_digests
from fragmodel.errors import UserError
from fragmodel.model.loading import load_trained
from fragmodel.model.trained import (
    SPEC_FILE,
    WEIGHTS_FILE,
    ModelSpec,
    load_adapter_weights,
    load_projectors,
    read_spec,
    save_trained,
)

ROWS = [referring_record(0), grounding_record(1)]


@pytest.fixture(scope="module")
def untied_folder(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    model, tokenizer = build_model(tiny.spec())
    save_trained(model, tokenizer, tiny.spec(), folder)
    return folder


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_one_step_of_training_survives_the_round_trip(tiny: TinyModels, tmp_path: Path, tied: bool) -> None:
    spec = tiny.spec(tied=tied)
    model, tokenizer = build_model(spec)
    batch = make_batch(ROWS, tokenizer)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    found = gradients(model, model(**batch).loss)
    rows = [name for name in found if "trainable_tokens" in name]
    assert len(rows) == (1 if tied else 2)  # with tied embeddings the head shares the rows
    before = {name: p.detach().clone() for name, p in model.named_parameters() if name in rows}
    optimizer.step()
    for name, parameter in model.named_parameters():
        if name in rows:
            assert (parameter != before[name]).any(dim=1).all(), name  # both span markers have moved

    save_trained(model, tokenizer, spec, tmp_path)
    again, tokenizer_again = load_trained(tmp_path, include_encoder=True)
    assert again.state_dict().keys() == model.state_dict().keys()
    with torch.no_grad():
        labelled = {name: value for name, value in batch.items() if name != "labels"}
        assert torch.equal(again(**labelled).logits, model.eval()(**labelled).logits)
    assert tokenizer_again.get_vocab() == tokenizer.get_vocab()
    assert tokenizer_again.chat_template == tokenizer.chat_template


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_tied_heads_share_the_trained_rows(tiny: TinyModels, tied: bool) -> None:
    """Moving the input rows of the span markers moves their logits where, and only where, the head is tied."""
    model, _ = build_model(tiny.spec(tied=tied))
    ids = joined(model).config.control_token_ids
    spans = [ids["span_open"], ids["span_close"]]
    inputs = {"input_ids": torch.tensor([[1, 9, 12]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    with torch.no_grad():
        before = model.eval()(**inputs).logits
        for name, parameter in model.named_parameters():
            if "trainable_tokens" in name and "embed_tokens" in name:
                parameter += 1.0
        changed = (model(**inputs).logits != before).any(0).any(0).nonzero().flatten().tolist()
    assert changed == (sorted(spans) if tied else [])


def test_files_hold_every_trained_weight_and_no_other(untied_folder: Path, tiny: TinyModels) -> None:
    model, _ = build_model(tiny.spec())
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    stored = load_file(untied_folder / WEIGHTS_FILE)
    assert sum(t.numel() for t in stored.values()) == sum(
        p.numel() for name, p in model.named_parameters() if name in trained
    )
    assert not any("esm_encoder" in name for name in stored)
    assert not list(untied_folder.glob("*.bin"))


def edited(folder: Path, target: Path, edit: Any) -> Path:
    """A copy of the weights with one change."""
    weights = load_file(folder / WEIGHTS_FILE)
    edit(weights)
    save_file(weights, target / WEIGHTS_FILE)
    return target


def pick(weights: dict[str, torch.Tensor], part: str) -> str:
    return next(name for name in weights if part in name)


@pytest.mark.parametrize("part", ["lora_A", "modality_adapter", "fragment_adapter", "token_adapter"])
def test_weights_that_do_not_fit_are_refused(
    tiny: TinyModels, untied_folder: Path, tmp_path: Path, part: str
) -> None:
    model, _ = build_model(tiny.spec(), include_encoder=False)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    key = pick(load_file(untied_folder / WEIGHTS_FILE), part)
    edits = {
        f"{key} is missing": lambda weights: weights.pop(key),
        f"{key}x is unknown": lambda weights: weights.update({f"{key}x": weights[key].clone()}),
        f"{key} has shape [1, 2]": lambda weights: weights.update({key: torch.zeros(1, 2)}),
    }
    for message, edit in edits.items():
        with pytest.raises(UserError) as caught:
            load_adapter_weights(model, edited(untied_folder, tmp_path, edit))
        assert message in str(caught.value) and str(tmp_path) in str(caught.value)
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())


def test_another_rank_is_refused(tiny: TinyModels, untied_folder: Path) -> None:
    model, _ = build_model(tiny.spec(lora_rank=2), include_encoder=False)
    with pytest.raises(
        UserError, match=r"does not fit this model: .* has shape \[4, 48\], the model has \[2"
    ):
        load_adapter_weights(model, untied_folder)


def test_damaged_folders_are_refused(tiny: TinyModels, untied_folder: Path, tmp_path: Path) -> None:
    model, _ = build_model(tiny.spec(), include_encoder=False)
    with pytest.raises(UserError, match=r"adapter_model\.safetensors is missing"):
        load_adapter_weights(model, tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes((untied_folder / WEIGHTS_FILE).read_bytes()[:999])
    with pytest.raises(UserError, match=r"adapter_model\.safetensors: damaged"):
        load_adapter_weights(model, tmp_path)
    with pytest.raises(UserError, match=r"adapter_model\.safetensors: damaged"):
        load_projectors(model, tmp_path)
    with pytest.raises(UserError, match="no fragmodel model or checkpoint"):
        read_spec(tmp_path)
    (tmp_path / SPEC_FILE).write_text("{")
    with pytest.raises(UserError, match=r"fragmodel\.json: Invalid JSON"):
        read_spec(tmp_path)
    (tmp_path / SPEC_FILE).write_text(tiny.spec().model_dump_json().replace("lora_rank", "lora_tank"))
    with pytest.raises(UserError, match="lora_rank: Field required"):
        read_spec(tmp_path)


def test_the_folder_says_what_it_is(tiny: TinyModels, tmp_path: Path) -> None:
    spec = tiny.spec()
    model, tokenizer = build_model(spec, include_encoder=False)
    forms = {"Mine_Dom": {"classes": ["kinase", "zinc finger"], "ids": {}, "none": ["grounding_group"]}}
    before = os.umask(0o027)
    try:
        save_trained(model, tokenizer, spec, tmp_path / "model", forms=forms)
    finally:
        os.umask(before)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "Mine_Dom: 2 classes; may answer `none` in grounding_group" in card
    assert f"rank {spec.lora_rank} (alpha {spec.lora_alpha})" in card and spec.llama_path in card
    assert "[More Information Needed]" not in card  # peft's form
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "model").iterdir()}
    assert set(modes.values()) == {"0o640"}, modes


def test_spec_round_trips(tiny: TinyModels, untied_folder: Path) -> None:
    assert read_spec(untied_folder) == tiny.spec()
    assert ModelSpec.model_validate_json(tiny.spec().model_dump_json()) == tiny.spec()


def adapters(model: Any) -> dict[str, torch.Tensor]:
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if "modules_to_save" in name
    }


def test_projectors_come_from_a_checkpoint(tiny: TinyModels, untied_folder: Path) -> None:
    source, _ = build_model(tiny.spec(), include_encoder=False)
    model, _ = tiny.spec(seed=8, lora_rank=2).build(include_encoder=False)
    assert any(not torch.equal(value, adapters(source)[name]) for name, value in adapters(model).items())
    assert sorted(load_projectors(model, untied_folder)) == ["fragment_adapter", "modality_adapter"]
    assert all(torch.equal(value, adapters(source)[name]) for name, value in adapters(model).items())


def test_projectors_come_from_a_whole_model(tiny: TinyModels, tmp_path: Path) -> None:
    source, _ = build_model(tiny.spec())
    whole = source.merge_and_unload()
    whole.save_pretrained(tmp_path)
    model, _ = tiny.spec(seed=8).build(include_encoder=False)
    assert sorted(load_projectors(model, tmp_path / "model.safetensors")) == [
        "fragment_adapter",
        "modality_adapter",
    ]
    expected = whole.state_dict()
    for name, value in adapters(model).items():
        plain = name.removeprefix("base_model.model.").replace("modules_to_save.default.", "")
        assert torch.equal(value, expected[plain]), name


def test_one_projector_alone_leaves_the_other(tiny: TinyModels, tmp_path: Path) -> None:
    model, _ = tiny.spec().build(include_encoder=False)
    state = {
        f"modality_adapter.{name}": torch.full_like(value, 0.5)
        for name, value in joined(model).modality_adapter.modules_to_save["default"].state_dict().items()
    }
    save_file(state, tmp_path / "aligned.safetensors")
    before = adapters(model)
    assert load_projectors(model, tmp_path) == ["modality_adapter"]
    for name, value in adapters(model).items():
        expected = torch.full_like(value, 0.5) if "modality_adapter" in name else before[name]
        assert torch.equal(value, expected), name


def test_a_narrow_fragment_adapter_comes_back_and_its_spec_says_so(tiny: TinyModels, tmp_path: Path) -> None:
    spec = tiny.spec(perceiver_dim=16)
    source, tokenizer = build_model(spec, include_encoder=False)
    save_trained(source, tokenizer, spec, tmp_path)
    again, _ = load_trained(tmp_path, include_encoder=False)
    found = adapters(again)
    assert sum("fragment_adapter" in name and "put_projection" in name for name in found) == 2
    assert all(torch.equal(found[name], value) for name, value in adapters(source).items())
    fields = json.loads((tmp_path / "fragmodel.json").read_text())
    assert fields.pop("perceiver_dim") == 16
    (tmp_path / "fragmodel.json").write_text(json.dumps(fields))
    drop_digests(tmp_path)  # there were none either
    assert read_spec(tmp_path).perceiver_dim == 0, "as models were before there was a choice"
    with pytest.raises(UserError, match="input_projection"):
        load_trained(tmp_path, include_encoder=False)


def test_projectors_that_do_not_fit_are_refused(tiny: TinyModels, tmp_path: Path) -> None:
    model, _ = tiny.spec().build(include_encoder=False)
    with pytest.raises(UserError, match=r"expected a \.safetensors file or a folder with some"):
        load_projectors(model, tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="holds no weights of modality_adapter or fragment_adapter"):
        load_projectors(model, tmp_path)
    save_file({"modality_adapter.up.weight": torch.zeros(2, 2)}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"input_norm.weight is missing"):
        load_projectors(model, tmp_path)
