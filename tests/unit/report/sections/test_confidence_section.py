"""What the page says of confidences, against the tables that it is made from."""

import numpy as np
import pyarrow as pa
import pytest
from report_run import build_run

from fragmodel.digests import read_json
from fragmodel.report import metric_tables, run_files, style
from fragmodel.report.confidence_plots import Outcomes
from fragmodel.report.sections.confidence import confidence_section, outcomes
from fragmodel.report.style import Gallery


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = build_run(tmp_path_factory.mktemp("run"), ("VenusX_Act",))
    return read_json(made["metrics"]), run_files.read_scored(made["scored"])


@pytest.fixture
def section(run, tmp_path):
    def make(task, metrics=run[0]):
        with style.drawing():
            return confidence_section(Gallery(tmp_path), run[1], metrics, task)

    return make


@pytest.mark.parametrize("task", ["referring_class", "grounding_single", "grounding_group"])
def test_outcomes_of_the_table_give_the_metrics_of_the_file(run, task):
    metrics, scored = run
    found = outcomes(scored, task, "model")
    expected = metrics["VenusX_Act"][task]["model"]
    covered, risk = found.risks()
    value = {name: cell.value for name, cell in _cells(expected).items()}
    assert np.average(risk, weights=np.diff(np.r_[0, covered])) == pytest.approx(value["aurc"], abs=1e-6)
    sure, right, sizes = found.bins(10)
    assert np.average(np.abs(sure - right), weights=sizes) == pytest.approx(value["ece"], abs=1e-6)
    assert outcomes(scored, task, "alignment") is None


def _cells(found):
    return {name: metric_tables.Cell.read(value) for name, value in found.items()}


def test_what_is_uncalibrated_is_called_so(section, run):
    found = section("grounding_single")
    assert found["systems"] == {"model": "uncalibrated"} and found["unit"] == "places"
    assert [picture.name for picture in found["pictures"]] == [
        "reliability-grounding_single",
        "coverage-grounding_single",
    ]
    assert "Model" in found["pictures"][0].alt and "% right" in found["pictures"][0].alt
    told = {"method": "isotonic", "outcomes": 1234, "right": 56}
    calibrated = {"D": {"grounding_single": {"calibration": {"model": told}}}}
    assert section("grounding_single", calibrated)["systems"] == {
        "model": "calibrated by isotonic regression on 1\u202f234 places of validation records, 56 of them right"
    }


def test_a_task_without_confidences_has_no_such_section(section):
    assert section("referring_desc") == {}


def test_places_in_ignored_regions_are_no_outcomes():
    row = {
        "task_type": "grounding_single",
        "system": "model",
        "place_confidences": [0.5, 0.25],
        "place_right": [None, True],
    }
    found = outcomes(pa.Table.from_pylist([row]), "grounding_single", "model")
    assert (list(found.sure), list(found.right)) == ([0.25], [1])


def test_risks_are_those_of_what_is_as_sure():
    covered, risk = Outcomes(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1.0, 1, 0, 0])).risks()
    assert list(covered) == [0.25, 0.75, 1] and list(risk) == pytest.approx([0, 1 / 3, 0.5])
