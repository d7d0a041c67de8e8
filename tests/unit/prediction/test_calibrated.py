"""A calibration goes with its model: used beside the run's folder, and in exported and merged ones."""

import pytest
from tiny_models import build_model

from fragmodel.evaluation.calibration import CALIBRATION_FILE, Calibration, Curve
from fragmodel.model.loading import folder_digest
from fragmodel.model.trained import save_trained
from fragmodel.prediction.export import export_model
from fragmodel.prediction.merged_model import merge
from fragmodel.prediction.model import FragModel
from fragmodel.prediction.provenance import calibration_of
from fragmodel.prediction.run import make_task, predict

SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDG"
PLACES = Curve("platt", 50, 20, (0.5,), (1.0,))
FORMS = {"VenusX_Dom": {"classes": ["kinase", "SH3 domain"], "none": []}}


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """A run's folder with a trained model."""
    folder = tmp_path_factory.mktemp("run")
    model, tokenizer = build_model(tiny.spec(), include_encoder=False)
    save_trained(model, tokenizer, tiny.spec(), folder / "training/model", forms=FORMS)
    return folder


@pytest.fixture
def calibrated(run):
    """The model's folder, its calibration beside it."""
    model = run / "training/model"
    made = Calibration("model", folder_digest(model), {"grounding_single": PLACES})
    (run / CALIBRATION_FILE).write_text(made.as_json())
    yield model
    (run / CALIBRATION_FILE).unlink()


def located(folder):
    found = FragModel.load(folder, device="cpu", max_new_tokens=40).locate(SEQUENCE, "kinase")
    return found.calibrated, [place.confidence for place in found.annotations]


def test_confidences_of_every_form_are_calibrated(run, calibrated):
    export_model(calibrated, run / "shared")
    merge(calibrated, run / "merged")
    (run / CALIBRATION_FILE).rename(run / "away.json")
    told, own = located(calibrated)
    assert not told and own
    (run / "away.json").rename(run / CALIBRATION_FILE)
    for folder in (calibrated, run / "shared", run / "merged"):
        told, sure = located(folder)
        assert told and sure == pytest.approx([PLACES(each) for each in own], rel=1e-3)
    assert "`grounding_single` (platt, 50 places, 20 of them right)" in (run / "shared/README.md").read_text()
    model = FragModel.load(calibrated, device="cpu", max_new_tokens=12)
    assert not model.annotate(SEQUENCE).calibrated  # of a task without a curve
    assert not model.classify(SEQUENCE, (3, 9)).calibrated


def test_that_of_another_model_is_passed_over_and_told(run, calibrated, caplog):
    (run / CALIBRATION_FILE).write_text(Calibration("model", "another", {}).as_json())
    assert calibration_of(calibrated) is None
    assert "made of another model; confidences are not calibrated" in caplog.text


@pytest.mark.parametrize("word", ["calibrated", "uncalibrated"])
def test_files_say_whether_they_are_calibrated(run, calibrated, tmp_path, word):
    if word == "uncalibrated":
        (run / CALIBRATION_FILE).write_text(Calibration("model", folder_digest(calibrated), {}).as_json())
    (tmp_path / "p.fasta").write_text(f">P1\n{SEQUENCE}\n")
    task = make_task("grounding_single", ["kinase"], [], [])

    def load():
        return FragModel.load(calibrated, device="cpu", max_new_tokens=40)

    for name in ("out.gff3", "out.jsonl"):
        predict(load, calibrated, tmp_path / "p.fasta", task, tmp_path / name)
    lines = (tmp_path / "out.gff3").read_text().splitlines()
    assert lines[:3] == ["##gff-version 3", f"#!confidence {word}", f"##sequence-region P1 1 {len(SEQUENCE)}"]
    said = str(word == "calibrated").lower()
    assert f'"calibrated": {said}' in (tmp_path / "out.jsonl").read_text()
