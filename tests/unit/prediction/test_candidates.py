"""Candidates of a model folder, in Python and in files."""

import json
from pathlib import Path

import pytest
from tiny_models import TinyModels, build_model

from fragmodel.errors import UserError
from fragmodel.model.trained import save_trained
from fragmodel.prediction.model import FragModel
from fragmodel.prediction.run import make_task, predict

SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDG"
FORMS = {
    "VenusX_Dom": {
        "classes": ["kinase", "SH3 domain", "zinc finger"],
        "ids": {"kinase": ["IPR000719"]},
        "none": [],
        "points": False,
    }
}


@pytest.fixture(scope="module")
def folder(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    model, tokenizer = build_model(tiny.spec(), include_encoder=False)
    save_trained(model, tokenizer, tiny.spec(), folder, forms=FORMS)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> FragModel:
    return FragModel.load(folder, device="cpu", max_new_tokens=60, window=30, candidates=4)


def test_all_classes_with_their_probabilities(model: FragModel) -> None:
    found = model.classify(SEQUENCE, (3, 9))
    assert {name for name, _ in found.candidates} == {"kinase", "SH3 domain", "zinc finger"}
    assert sum(probability for _, probability in found.candidates) == pytest.approx(1, abs=1e-3)
    assert model.describe(SEQUENCE, (3, 9)).candidates == ()


def test_further_places_of_a_protein_of_several_windows(model: FragModel) -> None:
    found = model.locate(SEQUENCE, "kinase").candidates
    assert len(found) > 1
    assert all(0 <= place.span.start < place.span.end <= len(SEQUENCE) for place in found)
    assert max(place.span.end for place in found) > 30
    assert {(place.class_name, place.class_ids) for place in found} == {("kinase", ("IPR000719",))}
    sure = [place.confidence for place in found]
    assert sure == sorted(sure, reverse=True) and 0 < sure[-1] <= sure[0] <= 1
    assert {place.class_name for place in model.annotate(SEQUENCE).candidates} <= set(
        FORMS["VenusX_Dom"]["classes"]
    )


def test_they_change_no_answer_and_stand_in_json_lines_alone(
    folder: Path, model: FragModel, tmp_path: Path
) -> None:
    (tmp_path / "in.fasta").write_text(f">P\n{SEQUENCE}\n")
    rows = {}
    for task in (
        make_task("grounding_single", ["kinase"], [], []),
        make_task("referring_class", [], [], ["P:4-9"]),
    ):
        for count in (1, 4):
            model.candidates = count
            output = tmp_path / f"{task.task}{count}.jsonl"
            predict(
                lambda: model, folder, tmp_path / "in.fasta", task, output, settings={"candidates": count}
            )
            row = json.loads(output.read_text())
            rows[task.task, count] = row
        first, second = rows[task.task, 1], rows[task.task, 4]
        if task.task == "referring_class":
            assert len(second.pop("candidates")) == 3 and first.pop("candidates") == []
        else:
            assert set(second.pop("candidates")[0]) == {
                "class",
                "family",
                "start",
                "end",
                "confidence",
                "class_ids",
            }
            assert first.pop("candidates") == []
        assert first == second
    with pytest.raises(UserError, match="--candidates: only JSON Lines hold them, not gff3"):
        group = make_task("grounding_group", [], [], [])
        predict(
            lambda: model,
            folder,
            tmp_path / "in.fasta",
            group,
            tmp_path / "o.gff3",
            settings={"candidates": 4},
        )
