"""Metrics of confidences against scikit-learn, or against their definitions, one outcome after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from fragmodel.evaluation.metrics.classification import ClassScores
from fragmodel.evaluation.metrics.confidence import (
    Ranked,
    auroc,
    average_precision,
    confidence_values,
)
from fragmodel.evaluation.metrics.grounding import GroundingItem, GroundingScores
from fragmodel.vocabulary import Span

SURE = st.sampled_from([0.0, 0.03, 0.1, 0.25, 0.5, 0.51, 0.9, 0.99, 1.0])
OUTCOMES = st.lists(st.tuples(st.integers(0, 3), SURE, st.booleans()), min_size=1, max_size=30)


def ranked(outcomes, records=4):
    owners, sure, right = zip(*outcomes, strict=True)
    return Ranked(np.array(owners), np.array(sure), np.array(right), records)


def repeated(outcomes, weights):
    kept = [(sure, right) for owner, sure, right in outcomes for _ in range(weights[owner])]
    return np.array(kept, dtype=float).reshape(-1, 2).T


WEIGHTS = st.lists(st.integers(0, 3), min_size=4, max_size=4)


@given(OUTCOMES, WEIGHTS)
def test_calibration_error_is_that_of_the_bins(outcomes, weights):
    got = confidence_values(ranked(outcomes), np.array([weights], dtype=float))
    sure, right = repeated(outcomes, weights)
    if not len(sure):
        assert np.isnan(got["ece"][0])
        return
    expected = 0.0
    for low in range(10):
        inside = (sure * 10 >= low) & ((sure * 10 < low + 1) | (low == 9))
        if inside.any():
            expected += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    assert got["ece"][0] == pytest.approx(expected, abs=1e-9)


@given(OUTCOMES, WEIGHTS)
def test_areas_are_those_of_scikit_learn(outcomes, weights):
    counts = ranked(outcomes).counts(np.array([weights], dtype=float))
    sure, right = repeated(outcomes, weights)
    if len(set(right)) == 2:
        assert auroc(*counts)[0] == pytest.approx(roc_auc_score(right, sure))
        assert average_precision(*counts)[0] == pytest.approx(average_precision_score(right, sure))
    else:
        assert np.isnan(auroc(*counts)[0])


@given(OUTCOMES, WEIGHTS)
def test_risk_over_coverage_by_its_definition(outcomes, weights):
    got = confidence_values(ranked(outcomes), np.array([weights], dtype=float))
    sure, right = repeated(outcomes, weights)
    if not len(sure):
        assert np.isnan(got["aurc"][0]) and np.isnan(got["right_at_50"][0])
        return
    risks = [1 - right[sure >= each].mean() for each in sure]
    assert got["aurc"][0] == pytest.approx(np.mean(risks), abs=1e-9)
    for share in (50, 80):
        # Each outcome is cut into a hundred parts, so that any share of them can be taken; ties are mixed evenly.
        parts = sorted(
            ((each, right[sure == each].mean()) for each in np.repeat(sure, 100)), key=lambda part: -part[0]
        )
        taken = parts[: len(sure) * share]
        assert got[f"right_at_{share}"][0] == pytest.approx(np.mean([part[1] for part in taken]), abs=1e-9)


def test_many_scores_are_joined_by_rank_without_a_loss_to_speak_of():
    draw = np.random.default_rng(1)
    scores = draw.normal(size=20_000)
    right = draw.random(20_000) < 1 / (1 + np.exp(2 - scores))
    levels = Ranked(np.zeros(20_000, dtype=int), scores, right, 1)
    assert len(levels.scores) <= 1001
    counts = levels.counts(np.ones((1, 1)))
    assert auroc(*counts)[0] == pytest.approx(roc_auc_score(right, scores), abs=1e-4)
    assert average_precision(*counts)[0] == pytest.approx(average_precision_score(right, scores), abs=2e-3)


def test_classes_without_a_confidence_have_no_such_metric():
    arguments = (["a", "b"], ["a", "a"], [True, False])
    assert "ece" not in ClassScores(*arguments).values(np.ones((1, 2)))
    got = ClassScores(*arguments, [0.9, 0.6]).values(np.ones((1, 2)))
    assert got["ece"][0] == pytest.approx((0.1 + 0.6) / 2) and got["confidence_auroc"][0] == 1
    assert (got["right_at_50"][0], got["aurc"][0]) == (1, 0.25)


LENGTH = 12
SPANS = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 4)).map(lambda s: Span(s[0], s[0] + s[1])), max_size=3
)
GROUPS = st.lists(st.tuples(st.sampled_from("ab"), SPANS), max_size=2, unique_by=lambda group: group[0])


@st.composite
def items(draw):
    true, guess = draw(GROUPS), draw(GROUPS)
    number = sum(len(spans) for _, spans in guess)
    sure = draw(st.lists(SURE, min_size=number, max_size=number))
    return GroundingItem(true, guess, "ok", LENGTH, places=tuple(sure))


@settings(max_examples=60)
@given(st.lists(items(), min_size=1, max_size=5))
def test_places_are_ranked_by_their_confidence(found):
    """AP of each class over its true spans, missed ones too; residues by the surest place that covers them."""
    scores = GroundingScores(found, grouped=True)
    got = {name: value[0] for name, value in scores.values(np.ones((1, len(found)))).items()}
    rows, missed, residues = {}, {}, []
    for item, hits in zip(found, scores.place_hits, strict=True):
        names = [name for name, spans in item.predicted for _ in spans]
        levels, truth = np.zeros(LENGTH), np.zeros(LENGTH, dtype=bool)
        for (start, end), sure in zip(
            [s for _, spans in item.predicted for s in spans], item.places, strict=True
        ):
            levels[start:end] = np.maximum(levels[start:end], sure)
        for name, spans in item.true:
            missed[name] = missed.get(name, 0) + len(spans) * (not item.absent)
            for start, end in spans:
                truth[start:end] = True
        residues += zip(truth, levels, strict=True)
        if not item.absent:
            for name, sure, hit in zip(names, item.places, hits, strict=True):
                rows.setdefault(name, []).append((hit, sure))
    areas = []
    for name, number in missed.items():
        hits, sure = zip(*rows.get(name, [(False, 0.0)]), strict=True)
        recalled = sum(hits) / number if number else 0
        if number:
            areas.append(average_precision_score(hits, sure) * recalled if any(hits) else 0)
    if areas:
        assert got["ap_50"] == pytest.approx(np.mean(areas))
    truth, levels = zip(*residues, strict=True)
    if any(item.places for item in found) and any(truth):
        assert got["residue_aupr"] == pytest.approx(average_precision_score(truth, levels))


def test_a_place_is_right_once_and_the_surest_of_equal_ones_is():
    true = [("a", [Span(0, 10)])]
    item = GroundingItem(
        true, [("a", [Span(0, 9), Span(0, 10), Span(40, 50)])], "ok", 60, places=(0.2, 0.9, 0.1)
    )
    assert GroundingScores([item], grouped=False).place_hits == [[False, True, False]]
    ignored = GroundingItem(true, [("a", [Span(0, 9), Span(40, 50)])], "ok", 60, [("a", [Span(38, 60)])])
    assert GroundingScores([ignored], grouped=False).place_hits == [[True, None]]
