"""Calibration: the curves that are learnt, and what they do to confidences."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from small_tables import grounding_record, prediction, record, write_records

from fragmodel.data.grammar import format_spans
from fragmodel.errors import UserError
from fragmodel.evaluation.answers import Sureness
from fragmodel.evaluation.calibrate import FEWEST, FEWEST_ISOTONIC, calibrate, fit
from fragmodel.evaluation.calibration import Calibration, Curve, read_calibration
from fragmodel.evaluation.score import score
from fragmodel.tables import PREDICTIONS, SCORED, read_rows, write_table
from fragmodel.vocabulary import Span


def outcomes(number, seed=1):
    """Confidences that are the square of how often they are right."""
    draw = np.random.default_rng(seed)
    chances = draw.uniform(0.02, 0.98, number)
    return chances**2, draw.random(number) < chances


@pytest.mark.parametrize(("number", "method"), [(150, "platt"), (4000, "isotonic")])
def test_a_curve_learns_how_often_answers_are_right(number, method):
    curve = fit(*outcomes(number))
    assert (curve.method, curve.outcomes) == (method, number)
    sure, right = outcomes(20_000, seed=2)
    calibrated = np.array([curve(each) for each in sure])
    for low in np.arange(0, 1, 0.2):
        inside = (calibrated >= low) & (calibrated < low + 0.2)
        if inside.sum() > 500:
            assert calibrated[inside].mean() == pytest.approx(right[inside].mean(), abs=0.12)
    error = np.abs(calibrated - np.sqrt(sure)).mean()
    assert error < 0.06 < np.abs(sure - np.sqrt(sure)).mean()


def test_isotonic_blocks_are_those_of_scikit_learn():
    sure, right = outcomes(500)
    curve = fit(sure, right)
    theirs = IsotonicRegression(y_min=1 / 502, y_max=501 / 502).fit_transform(logit(sure), right)
    assert list(curve.y) == pytest.approx(sorted(set(theirs)))
    for x, y in zip(curve.x, curve.y, strict=True):
        assert logit(sure)[np.isclose(theirs, y)].mean() == pytest.approx(x)


@given(st.integers(0, 3), st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_curve_never_turns_the_order_round_and_is_never_nothing(seed, sure):
    for number in (FEWEST, FEWEST_ISOTONIC):
        for flipped in (False, True):
            confidences, right = outcomes(number, seed)
            found = [fit(confidences, right ^ flipped)(each) for each in sorted(sure)]
            assert found == sorted(found) and found[0] > 0 and found[-1] <= 1


@pytest.mark.parametrize(
    ("sure", "right"),
    [
        ([0.5] * (FEWEST - 1), [True, False] * 14 + [True]),
        ([0.5] * 300, [True] * 300),
        ([0.5] * 300, [False] * 300),
    ],
)
def test_too_little_leaves_confidences_as_they_are(sure, right):
    curve = fit(np.array(sure), np.array(right))
    assert curve.method == "none" and curve(0.123) == 0.123
    calibration = Calibration("model", "", {"grounding_single": curve})
    assert calibration.told("grounding_single") is None
    assert calibration.applied("grounding_single", Sureness(0.5, (0.2,))) == Sureness(0.5, (0.2,))


@pytest.fixture
def run(tmp_path):
    """Forty windows with a place each, of which the model finds the first half, and as many classes."""
    rows, said = [], []
    for number in range(40):
        name = f"g{number}"
        rows.append(grounding_record(name, name, {"A": [(10, 20)]}, "grounding_single"))
        right = number < 20
        spans = [Span(10, 20) if right else Span(50, 60)]
        sure = {"confidence": 0.6, "place_confidences": [0.3 if right else 0.03]}
        said.append(prediction(name, "grounding_single", format_spans(spans)) | sure)
        rows.append(record(f"c{number}", name, "referring_class", classes=["A"], answer="A", ref=[0, 9]))
        said.append(
            prediction(f"c{number}", "referring_class", "A" if right else "B")
            | {"confidence": 0.9 if right else 0.8}
        )
    write_table(tmp_path / "answers.parquet", PREDICTIONS, said, {"model_sha256": "abc"})
    return tmp_path / "answers.parquet", write_records(tmp_path, rows)


def test_from_answers_to_calibrated_scores(run, tmp_path):
    answers, records = run
    made = calibrate(answers, [records], tmp_path / "calibration.json")
    assert read_calibration(tmp_path / "calibration.json") == made
    assert (made.system, made.model_sha256) == ("model", "abc")
    for task in ("grounding_single", "referring_class"):
        assert made.told(task) == {"method": "platt", "outcomes": 40, "right": 20}
    options = {"table_output": tmp_path / "scored.parquet", "bootstrap_samples": 0, "encode": None}
    before, after = (
        score([answers], [records], metrics_output=tmp_path / "m.json", calibration=path, **options)["D"]
        for path in (None, tmp_path / "calibration.json")
    )
    for task in before:
        assert before[task]["calibration"] == {"model": None}
        assert after[task]["calibration"] == {"model": made.told(task)}
        old, new = before[task]["model"], after[task]["model"]
        assert new["ece"] < old["ece"]
        assert new["confidence_auroc"] == old["confidence_auroc"] == 1
    for row in read_rows(tmp_path / "scored.parquet", SCORED):
        sure = row["place_confidences"][0] if row["place_confidences"] is not None else row["confidence"]
        right = row["place_right"][0] if row["place_right"] is not None else row["metrics"]["accuracy"]
        assert (sure > 0.5) == right
        if row["task_type"] == "grounding_single":
            assert row["confidence"] == 0.6  # that something is there is no matter of this curve


def test_another_system_keeps_its_own_confidences(run, tmp_path):
    answers, records = run
    calibrate(answers, [records], tmp_path / "calibration.json")
    rows = [row | {"system": "other"} for row in read_rows(answers, PREDICTIONS)]
    write_table(tmp_path / "other.parquet", PREDICTIONS, rows)
    result = score(
        [answers, tmp_path / "other.parquet"],
        [records],
        metrics_output=tmp_path / "m.json",
        table_output=None,
        bootstrap_samples=0,
        encode=None,
        calibration=tmp_path / "calibration.json",
    )["D"]["grounding_single"]
    assert result["calibration"]["model"] and result["calibration"]["other"] is None
    assert result["baselines"]["other"]["ece"] == pytest.approx((20 * 0.7 + 20 * 0.03) / 40)


@pytest.mark.parametrize("content", ["{", "[]", "{}", json.dumps({"tasks": {"x": {"method": "y"}}})])
def test_what_is_no_calibration_is_told(tmp_path, content):
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(
        UserError,
        match=r"calibration\.json: (not a calibration\.json of a run|not valid JSON|no JSON object)",
    ):
        read_calibration(tmp_path / "calibration.json")


def test_a_curve_is_linear_in_the_log_odds_between_its_points():
    middle = expit((logit(0.01) + logit(0.1)) / 2)
    curve = Curve("isotonic", 9, 3, (logit(0.01), logit(0.1)), (0.2, 0.6))
    assert [curve(each) for each in (0.0, 0.01, middle, 0.1, 1.0)] == pytest.approx([0.2, 0.2, 0.4, 0.6, 0.6])
