import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, matthews_corrcoef, precision_recall_fscore_support

from fragmodel.evaluation.metrics.classification import ClassScores

PAIRS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["a", "b", "c", "e", None]), st.integers(0, 3)),
    min_size=1,
)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@given(PAIRS)
def test_every_resample_agrees_with_scikit_learn_on_repeated_records(pairs):
    true, predicted, weights = zip(*pairs, strict=True)
    if not sum(weights):
        weights = (1,) * len(pairs)
    scores = ClassScores(true, predicted, [False] * len(true))
    got = {name: value[0] for name, value in scores.values(np.array([weights], dtype=float)).items()}
    y_true = np.repeat(true, weights)
    y_pred = np.repeat([p or "unknown" for p in predicted], weights)
    macro = precision_recall_fscore_support(
        y_true, y_pred, labels=sorted(set(y_true)), average="macro", zero_division=0
    )
    assert got["accuracy"] == pytest.approx(accuracy_score(y_true, y_pred))
    assert [got[f"macro_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(macro[:3])
    assert got["mcc"] == pytest.approx(matthews_corrcoef(y_true, y_pred), abs=1e-9)
    assert got["unknown_rate"] == pytest.approx(np.mean(y_pred == "unknown"))


def test_hand_worked_example():
    # a: 2 true, 1 found, answered twice (P 1/2, R 1/2). b: 1 true, found (P 1, R 1). c: never answered.
    scores = ClassScores(["A", "a", "b", "c"], ["a", None, "b", "a"], [True, False, False, False])
    got = {name: value[0] for name, value in scores.values(np.ones((1, 4))).items()}
    assert got["accuracy"] == 0.5
    assert got["exact_match"] == 0.25
    assert got["unknown_rate"] == 0.25
    assert got["macro_precision"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert got["macro_recall"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    # Gorodkin: (c s - Σ p t) / sqrt((s² - Σ p²)(s² - Σ t²)), p = (2, 1, 0, 1 unknown), t = (2, 1, 1, 0).
    assert got["mcc"] == pytest.approx((2 * 4 - 5) / np.sqrt((16 - 6) * (16 - 6)))


def test_class_table_lists_the_most_frequent_class_first():
    table = ClassScores(["B x", "b x", "a"], ["b x", None, "b x"], [False] * 3).per_class()
    assert table == [
        {"class": "B x", "support": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        {"class": "a", "support": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0},
    ]
