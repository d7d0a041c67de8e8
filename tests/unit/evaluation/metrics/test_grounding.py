import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, matthews_corrcoef, precision_score, recall_score, roc_auc_score

from fragmodel import metric_names
from fragmodel.evaluation.metrics.grounding import GroundingItem, GroundingScores, weighted_median
from fragmodel.evaluation.metrics.spans import hits
from fragmodel.pairing import Labelled, overlaps
from fragmodel.vocabulary import Span

LENGTH = 20
GROUPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.lists(
            st.tuples(st.integers(0, 15), st.integers(1, 5)).map(lambda s: Span(s[0], s[0] + s[1])),
            min_size=1,
            max_size=3,
        ),
    ),
    max_size=3,
    unique_by=lambda group: group[0],
)
ITEMS = st.lists(
    st.builds(lambda true, guess: GroundingItem(true, guess, "ok", LENGTH), GROUPS.filter(bool), GROUPS),
    min_size=1,
    max_size=6,
)


ABSENT = st.lists(
    st.builds(
        lambda name, guess, status: GroundingItem([(name, [])] if name else [], guess, status, LENGTH),
        st.sampled_from(["a", "b", ""]),
        GROUPS,
        st.sampled_from(["ok", "no_span", "empty"]),
    ),
    max_size=5,
)


def at_once(scores, size):
    return {name: value[0] for name, value in scores.values(np.ones((1, size))).items()}


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3)), min_size=1))
def test_weighted_median_is_the_median_of_repeated_values(pairs):
    values, weights = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    got = weighted_median(values, weights[None])[0]
    if weights.sum():
        assert got == pytest.approx(np.median(np.repeat(values, weights.astype(int))))
    else:
        assert np.isnan(got)


@given(ITEMS)
def test_average_precision_is_the_area_under_the_curve_of_equal_confidences(items):
    """The curve has one point; it is joined to recall 0 at the same precision, as interpolated AP does."""
    areas = []
    for name in sorted({name for item in items for name, _ in item.true}):
        found = guessed = true = 0
        for item in items:
            sides = [
                [Labelled("", span) for other, spans in side if other == name for span in spans]
                for side in (item.predicted, item.true)
            ]
            found += hits(overlaps(*sides), 0.5)
            guessed, true = guessed + len(sides[0]), true + len(sides[1])
        precision, recall = (found / guessed if guessed else 0), found / true
        areas.append(auc([0, recall], [precision, precision]))
    got = at_once(GroundingScores(items, grouped=True), len(items))
    assert got["ap_50"] == pytest.approx(np.mean(areas))


@given(ITEMS, st.data())
def test_weights_repeat_records(items, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(items), max_size=len(items)))
    if not sum(weights):
        weights[0] = 1
    repeated = [item for item, weight in zip(items, weights, strict=True) for _ in range(weight)]
    got = GroundingScores(items, grouped=True).values(np.array([weights], dtype=float))
    expected = at_once(GroundingScores(repeated, grouped=True), len(repeated))
    assert {name: value[0] for name, value in got.items()} == pytest.approx(expected, nan_ok=True)


@settings(max_examples=25)
@given(ITEMS, ABSENT, st.booleans())
def test_absent_records_change_no_metric_that_is_conditional_on_presence(items, absent, grouped):
    without = GroundingScores(items, grouped=grouped)
    scores = GroundingScores([*absent, *items], grouped=grouped)
    expected, got = at_once(without, len(items)), at_once(scores, len(absent) + len(items))
    conditional = [name for name in expected if metric_names.metric(name).given_presence]
    assert len(conditional) == (39 if grouped else 19)
    assert {name: got[name] for name in conditional} == pytest.approx(
        {name: expected[name] for name in conditional}, nan_ok=True
    )
    assert set(got) - set(conditional) == {
        *(f"{name}_rate" for name in ("parse_failure", "out_of_range", "reversed")),
        *(name for name in metric_names.DETECTION if name != "detection_auroc"),
    }
    assert scores.per_class() == without.per_class()
    single = scores.per_record()
    assert np.isnan(single["iou"][: len(absent)]).all() and not np.isnan(single["iou"][len(absent) :]).any()
    assert all(np.isnan(expected[name]) for name in metric_names.DETECTION if name != "detection_auroc")


@settings(max_examples=25)
@given(ITEMS, ABSENT.filter(bool), st.booleans())
def test_detection_is_that_of_scikit_learn(items, absent, grouped):
    items = [*items, *absent]
    true = [any(spans for _, spans in item.true) for item in items]
    guess = [any(spans for _, spans in item.predicted) for item in items]
    got = at_once(GroundingScores(items, grouped=grouped), len(items))
    assert got["specificity"] == pytest.approx(recall_score(true, guess, pos_label=0, zero_division=0))
    assert got["false_positive_rate"] == pytest.approx(1 - got["specificity"])
    assert got["detection_precision"] == pytest.approx(precision_score(true, guess, zero_division=0))
    assert got["detection_recall"] == pytest.approx(recall_score(true, guess))
    if not grouped:
        planes = np.zeros((2, len(items), LENGTH), dtype=int)
        for row, item in enumerate(items):
            for side, groups in enumerate((item.true, item.predicted)):
                for start, end in (span for _, spans in groups for span in spans):
                    planes[side, row, start:end] = 1
        assert got["residue_mcc_all"] == pytest.approx(matthews_corrcoef(*planes.reshape(2, -1)), abs=1e-9)


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([None, -1.0, 0.0, 0.5, 2.0]), st.integers(0, 3)), min_size=2
    )
)
def test_auroc_is_that_of_scikit_learn(rows):
    items = [
        GroundingItem([("a", [Span(0, 5)] if true else [])], [], "ok", LENGTH, confidence=confidence)
        for true, confidence, _ in rows
    ]
    weights = np.array([[weight for *_, weight in rows]], dtype=float)
    found = GroundingScores(items, grouped=False).values(weights)
    kept = [(true, confidence, weight) for true, confidence, weight in rows if weight]
    if all(confidence is None for _, confidence, _ in rows):
        assert "detection_auroc" not in found
    elif len({true for true, *_ in kept}) < 2:
        assert np.isnan(found["detection_auroc"]).all()
    else:
        true, confidence, weight = zip(*kept, strict=True)
        expected = roc_auc_score(true, [-9.0 if c is None else c for c in confidence], sample_weight=weight)
        assert found["detection_auroc"][0] == pytest.approx(expected)


def test_hand_worked_group():
    # The answer finds the right place of B under the name A, and A itself with an IoU of 8/10.
    item = GroundingItem(
        true=[("A", [Span(0, 10)]), ("B", [Span(20, 30)])],
        predicted=[("a", [Span(0, 8), Span(20, 30)])],
        status="ok",
        length=50,
    )
    got = at_once(GroundingScores([item], grouped=True), 1)
    assert got["iou_mean"] == pytest.approx(0.8 / 2)
    assert got["agnostic_iou_mean"] == pytest.approx((0.8 + 1) / 2)
    assert got["f1_50"] == pytest.approx(0.5)
    assert got["agnostic_f1_50"] == 1
    assert (got["all_hit_50"], got["agnostic_all_hit_50"]) == (0, 1)
    assert got["ap_50"] == pytest.approx((1 / 2 * 1 + 0) / 2)  # A: precision 1/2, recall 1; B: 0
    assert got["residue_recall"] == pytest.approx(8 / 20)
    assert got["boundary_error"] == pytest.approx(1)


def test_single_ignores_the_name_and_counts_faults():
    items = [
        GroundingItem([("A", [Span(0, 10)])], [("other", [Span(0, 10)])], "ok", 50),
        GroundingItem([("A", [Span(0, 10)])], [], "no_span", 50),
        GroundingItem([("B", [Span(0, 10)])], [("", [Span(40, 50)])], "out_of_range", 50),
        GroundingItem([("B", [Span(0, 10)])], [], "missing", 50),
    ]
    scores = GroundingScores(items, grouped=False)
    got = at_once(scores, 4)
    assert got["iou_mean"] == 0.25
    assert got["parse_failure_rate"] == 0.5
    assert got["out_of_range_rate"] == 0.25
    assert got["precision_50"] == 0.5
    assert "ap_50" not in got and "all_hit_50_multi" in got and np.isnan(got["all_hit_50_multi"])
    assert scores.per_class() == [
        {
            "class": "A",
            "support": 2,
            "precision_50": 1.0,
            "recall_50": 0.5,
            "f1_50": pytest.approx(2 / 3, abs=1e-6),
        },
        {"class": "B", "support": 2, "precision_50": 0.0, "recall_50": 0.0, "f1_50": 0.0},
    ]
    assert scores.per_record()["iou"].tolist() == [1, 0, 0, 0]


IGNORED = [("A", [Span(90, 100)])]
TWO_CLASSES = [("A", [Span(10, 20)]), ("B", [Span(94, 100)])]


def scored(predicted, grouped, ignored=IGNORED, true=TWO_CLASSES):
    """Finite metrics of one record, and its table of classes."""
    scores = GroundingScores([GroundingItem(true, predicted, "ok", 100, ignored)], grouped=grouped)
    values = {name: float(value[0]) for name, value in scores.values(np.ones((1, 1))).items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}, scores.per_class()


@pytest.mark.parametrize("grouped", [True, False])
def test_ignored_regions_count_neither_way(grouped):
    """To find the part at the edge, all of it or some, is as good as to leave it out."""
    true = [("A", [Span(10, 20)])]
    without = scored([("A", [Span(10, 20)])], grouped, true=true)
    for extra in (Span(90, 100), Span(95, 100), Span(92, 93)):
        assert scored([("A", [Span(10, 20), extra])], grouped, true=true) == without
        assert scored([("A", [extra, Span(10, 20)])], grouped, true=true) == without
        counted = scored([("A", [Span(10, 20), extra])], grouped, ignored=(), true=true)[0]
        assert counted["f1_50"] < 1 and counted["residue_f1"] < 1 and counted["iou_mean"] == 0.5
    wide = scored([("A", [Span(10, 20), Span(70, 100)])], grouped, true=true)[0]
    assert (
        wide["precision_50"] == 0.5 and wide["residue_precision"] == 10 / 30
    )  # 20 of its residues are wrong


def test_ignored_regions_are_those_of_their_class():
    values, table = scored(TWO_CLASSES, True)
    assert values["f1_50"] == values["agnostic_f1_50"] == values["residue_f1"] == values["ap_50"] == 1
    assert {row["class"]: row["f1_50"] for row in table} == {"A": 1, "B": 1}
    more = [("A", [Span(10, 20), Span(90, 100)]), ("B", [Span(94, 100)])]
    assert scored(more, True)[0]["f1_50"] == 1
    other = [("A", [Span(10, 20)]), ("B", [Span(94, 100), Span(90, 94)])]
    assert scored(other, True)[0]["precision_50"] == 2 / 3
    assert scored([], True)[0]["recall_50"] == 0
