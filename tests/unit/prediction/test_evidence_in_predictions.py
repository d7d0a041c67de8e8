"""A model that was trained with evidence finds it for new proteins, and carries what it is found in."""

import random
import shutil

import pytest
from tiny_models import build_model

from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN
from fragmodel.evidence.library import Known, Relative, load_library, write_library
from fragmodel.model.trained import save_trained
from fragmodel.prediction.evidence import Evidence
from fragmodel.prediction.export import export_model
from fragmodel.prediction.model import FragModel
from fragmodel.tables import read_metadata
from fragmodel.vocabulary import RELATIVES_FILE, Span

SEQUENCE = "".join(random.Random(3).choices("ACDEFGHIKLMNPQRSTVWY", k=150))
ABOUT = {"tool": "mmseqs2", "max_lines": 2, "max_e_value": 1.0, "records_sha256": []}


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    spec = tiny.spec()
    model, tokenizer = build_model(spec, include_encoder=False)
    path = tmp_path_factory.mktemp("trained") / "model"
    save_trained(model, tokenizer, spec, path)
    known = [Known("SH3 domain", Span(40, 90), "Binds proline-rich peptides.")]
    library = [
        Relative("P1", "domain", SEQUENCE[:130] + "W" * 10, known),
        Relative("P2", "motif", SEQUENCE, [Known("a motif", Span(1, 5))]),
    ]
    write_library(path / RELATIVES_FILE, library, ABOUT)
    return path


def test_answers_tell_the_evidence_of_their_kind(folder):
    model = FragModel.load(folder, device="cpu", max_new_tokens=4)
    questions = model.grounding_questions(SEQUENCE, "grounding_group", kinds=["domain"])
    (answer,) = model.answer(questions)
    (line,) = answer.evidence
    assert (line.uid, line.text) == ("P1", f"SH3 domain: {SPAN_OPEN}(40,90){SPAN_CLOSE}")
    assert line.identity > 0.9
    (nothing,) = model.answer(model.grounding_questions(SEQUENCE[::-1], "grounding_group", kinds=["domain"]))
    assert nothing.evidence == ()


def test_an_exported_folder_has_the_relatives_or_says_that_it_has_not(folder, tmp_path, caplog):
    export_model(folder, tmp_path / "whole", adapter_only=True)
    assert [relative.uid for relative in load_library(tmp_path / "whole" / RELATIVES_FILE)] == ["P1", "P2"]
    assert "relatives.parquet" in (tmp_path / "whole/README.md").read_text()
    export_model(folder, tmp_path / "bare", adapter_only=True, with_relatives=False)
    table = tmp_path / "bare" / RELATIVES_FILE
    assert load_library(table) == [] and read_metadata(table)["max_lines"] == 2
    assert "left out" in (tmp_path / "bare/README.md").read_text()
    evidence = Evidence.of(tmp_path / "bare")
    assert "answers without evidence" in caplog.text
    assert evidence.about([]) == []


def test_a_model_without_relatives_was_trained_without_evidence(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / RELATIVES_FILE).unlink()
    assert Evidence.of(tmp_path / "model") is None
