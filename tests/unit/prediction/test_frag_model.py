"""The Python interface on a tiny model of the true architecture, and the exported folder."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_models import build_model

from fragmodel.embeddings.extract import embed_sequences
from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.errors import UserError
from fragmodel.evaluation.generate import generate
from fragmodel.model.loading import Parts
from fragmodel.model.trained import save_trained
from fragmodel.prediction.class_ids import ClassIds
from fragmodel.prediction.export import export_model
from fragmodel.prediction.merged_model import merge
from fragmodel.prediction.model import FragModel
from fragmodel.prediction.results import Absence, Annotation

SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDG"
METRICS = {
    "VenusX_Dom": {
        "referring_class": {
            "n": 7,
            "model": {"accuracy": {"value": 0.5, "low": 0.25, "high": 0.75}},
            "baselines": {"nearest": {"accuracy": {"value": 0.625, "low": 0.5, "high": 0.75}}},
            "against": {"nearest": {"difference": -0.125, "p": 0.01}},
        }
    }
}


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory) -> Path:
    spec = tiny.spec()
    model, tokenizer = build_model(spec, include_encoder=False)
    path = tmp_path_factory.mktemp("trained") / "model"
    save_trained(model, tokenizer, spec, path)
    return path


@pytest.fixture(scope="module")
def exported(folder) -> Path:
    metrics = folder.parent / "metrics.json"
    metrics.write_text(json.dumps(METRICS))
    output = folder.parent / "shared"
    export_model(folder, output, metrics=metrics, license_name="mit", title="Tiny")
    return output


@pytest.fixture(scope="module")
def model(folder) -> FragModel:
    return FragModel.load(folder, device="cpu", max_new_tokens=12)


def test_states_are_those_of_the_store(model, tiny, tmp_path):
    embed_sequences([SEQUENCE], encoder=tiny.encoder, store=tmp_path, dtype="bfloat16")
    (states,) = model.encode([SEQUENCE])
    assert states.dtype == torch.bfloat16
    torch.testing.assert_close(states.float(), EmbeddingStore(tmp_path).get(SEQUENCE).float(), rtol=0, atol=0)


@pytest.mark.parametrize("form", ["run", "exported", "merged"])
def test_states_are_of_the_layer_that_training_read(tiny, tmp_path, form):
    spec = tiny.spec().model_copy(update={"encoder_layer": 1})
    model, tokenizer = build_model(spec, include_encoder=False)
    save_trained(model, tokenizer, spec, tmp_path / "run")
    if form == "exported":
        export_model(tmp_path / "run", tmp_path / form)
    elif form == "merged":
        merge(tmp_path / "run", tmp_path / form)
    (states,) = FragModel.load(tmp_path / form, device="cpu").encode([SEQUENCE])
    embed_sequences([SEQUENCE], encoder=tiny.encoder, store=tmp_path / "store", layer=1)
    expected = EmbeddingStore(tmp_path / "store").get(SEQUENCE)
    torch.testing.assert_close(states.float(), expected.float(), rtol=0, atol=0)
    with pytest.raises(UserError, match="encoder layer 1"):
        generate(tmp_path / form, [], tmp_path / "out.parquet", store=None, fingerprint=None)


def test_the_answer_depends_on_the_fragment_alone_among_equal_windows(model):
    question = [model.referring_question("referring_desc", SEQUENCE, span) for span in ((3, 9), (20, 30))]
    first, second = (model.refer(q, a) for q, a in zip(question, model.answer(question), strict=True))
    assert (first.span, first.shown) == ((3, 9), (3, 9)) and second.span == (20, 30)
    assert model.describe(SEQUENCE, (3, 9)) == first  # alone and in a batch
    assert model.classify(SEQUENCE, (3, 9)).span == (3, 9)


def test_batches_do_not_change_answers(model):
    questions = [
        *model.grounding_questions(SEQUENCE, "grounding_group"),
        *model.grounding_questions(SEQUENCE[:17], "grounding_single", names=["kinase"]),
    ]
    alone = [model.answer([question])[0] for question in questions]
    together = model.answer(questions)
    assert [(answer.text, answer.stopped) for answer in together] == [(a.text, a.stopped) for a in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.places == pytest.approx(other.places, rel=1e-4)


def test_places_have_a_confidence_and_stay_valid(model, folder):
    found = model.locate(SEQUENCE, "kinase").annotations
    assert found and all(0 < place.confidence <= 1 for place in found)
    free = FragModel.load(folder, device="cpu", max_new_tokens=12, constrained=False)
    assert all(place.confidence is None for place in free.locate(SEQUENCE, "kinase").annotations)


def test_places_move_with_their_windows(model, monkeypatch):
    """Answers in window coordinates come back in protein coordinates."""
    monkeypatch.setattr(model, "window", 20)
    questions = model.grounding_questions(SEQUENCE, "grounding_single", names=["kinase"])
    assert [q.window for q in questions] == [(0, 20), (10, 30), (20, 40), (23, 43)]
    said = type(model.answer(questions[:1])[0])
    texts = ["(2,5)", "", "(0,4)", "nothing"]
    found = model.ground(questions, [said(text, True) for text in texts])
    assert found.annotations == (Annotation("kinase", (2, 5)), Annotation("kinase", (20, 24)))
    assert found.faults == ("empty", "no_span")
    assert model.locate(SEQUENCE, "kinase").texts  # the same through the model itself


def test_an_answer_that_there_is_nothing_is_no_place_and_no_fault(model):
    question = model.grounding_questions(SEQUENCE, "grounding_group")[0]
    said = type(model.answer([question])[0])
    found = model.ground([question], [said("none", True, 0.125)])
    assert (found.annotations, found.faults, found.texts) == ((), (), ("none",))
    assert found.absences == (Absence("", question.family, 0.875),)


def test_what_one_window_has_is_not_absent(model, monkeypatch):
    monkeypatch.setattr(model, "window", 20)
    questions = model.grounding_questions(SEQUENCE, "grounding_single", names=["kinase"])
    said = type(model.answer(questions[:1])[0])
    found = model.ground(questions, [said(text, True) for text in ("none", "none", "(0,4)", "none")])
    assert len(found.annotations) == 1 and found.absences == ()


def test_ids_are_those_of_the_training_records(model, monkeypatch):
    forms = {
        "VenusX_Dom": {"classes": ["Kinase"], "ids": {"Kinase": ["IPR000719"]}, "none": []},
        "VenusX_Act": {"classes": ["Kinase"], "ids": {"Kinase": ["IPR008271"]}, "none": []},
    }
    ids = ClassIds(forms, {"domain": ["VenusX_Dom"], "active site": ["VenusX_Act"]})
    monkeypatch.setattr(model, "class_ids", ids)
    question = model.grounding_questions(SEQUENCE, "grounding_group", kinds=["active site"])[0]
    said = type(model.answer([question])[0])
    (place,) = model.ground([question], [said("kinase: (3,9)", True)]).annotations
    assert place.class_ids == ("IPR008271",)
    question = model.grounding_questions(SEQUENCE, "grounding_single", names=["kinase"])[0]
    (place,) = model.ground([question], [said("(3,9)", True)]).annotations
    assert place.class_ids == ("IPR000719", "IPR008271")  # of any family
    question = model.referring_question("referring_class", SEQUENCE, (3, 9), family="domain")
    assert model.refer(question, said("Kinase.", True)).class_ids == ("IPR000719",)
    assert model.refer(question, said("helix", True)).class_ids == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.describe(SEQUENCE, (5, 99)), "does not lie inside the protein of 43"),
        (lambda m: m.describe("MK1", (0, 2)), "'1' at residue 3"),
        (lambda m: m.annotate(SEQUENCE, families=["helix"]), "family 'helix' is not known; use one of"),
    ],
)
def test_mistakes_are_told(model, call, message):
    with pytest.raises(UserError, match=message):
        call(model)


def test_the_exported_folder_answers_alike(model, exported):
    again = FragModel.load(exported, device="cpu", max_new_tokens=12)
    assert isinstance(again.parts, Parts)
    assert torch.equal(again.encode([SEQUENCE])[0], model.encode([SEQUENCE])[0])
    assert again.describe(SEQUENCE, (3, 9)) == model.describe(SEQUENCE, (3, 9))
    with pytest.raises(UserError, match="exists already"):
        export_model(exported.parent / "model", exported)


def test_the_folder_has_what_a_hub_wants(exported):
    names = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert names >= {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "generation_config.json",
        "tokenizer.json",
        "base/config.json",
        "base/model.safetensors",
        "base/generation_config.json",
    }
    card = (exported / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n") and "\n# Tiny\n" in card
    row = "| VenusX_Dom | referring_class | 7 | accuracy | 0.500 [0.250, 0.750] | 0.625 [0.500, 0.750], nearest |"
    assert row in card
    assert "The model is clearly better than every baseline in none of 1 pair of data set and task" in card
    assert "More Information Needed" not in card


@pytest.mark.slow
def test_the_snippets_of_the_card_run(exported, model):
    """Each in a process of its own; the peft one gives the same logits as our own loading."""
    snippets = re.findall(r"```python\n(.*?)```", (exported / "README.md").read_text(), re.DOTALL)
    assert len(snippets) == 2
    check = "print('LOGIT', model(input_ids=__import__('torch').tensor([[5, 6, 7]])).logits.sum().item())"
    first = snippets[0].replace('load(".")', 'load(".", device="cpu", max_new_tokens=8)')
    for code in (first, snippets[1] + check):
        result = subprocess.run([sys.executable, "-c", code], cwd=exported, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    with torch.inference_mode():
        expected = model.parts.model(input_ids=torch.tensor([[5, 6, 7]])).logits.sum().item()
    assert float(result.stdout.rpartition("LOGIT")[2]) == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_a_merged_folder_answers_alike(folder, model, tmp_path):
    merge(folder, tmp_path / "merged")
    promised = (
        "from fragmodel import Esm2LlamaInstructForCausalLM\nfrom transformers import AutoModelForCausalLM\n"
        "print(type(AutoModelForCausalLM.from_pretrained('merged')).__name__)"
    )
    loaded = subprocess.run([sys.executable, "-c", promised], cwd=tmp_path, capture_output=True, text=True)
    assert loaded.stdout.strip() == "Esm2LlamaInstructForCausalLM", loaded.stderr
    merged = FragModel.load(tmp_path / "merged", device="cpu", max_new_tokens=12)
    assert merged.describe(SEQUENCE, (3, 20)) == model.describe(SEQUENCE, (3, 20))
    assert (
        merged.annotate(SEQUENCE, families=["domain"]).texts
        == model.annotate(SEQUENCE, families=["domain"]).texts
    )
