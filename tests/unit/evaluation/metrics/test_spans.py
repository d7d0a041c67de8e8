from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score, matthews_corrcoef, precision_recall_fscore_support

from fragmodel.evaluation.metrics.ratios import f1 as our_f1
from fragmodel.evaluation.metrics.ratios import matthews
from fragmodel.evaluation.metrics.spans import THRESHOLDS, Labelled, best_pairs, counts, hits, overlaps
from fragmodel.vocabulary import Span

LENGTH = 24
SPANS = st.lists(
    st.builds(
        lambda label, start, size: Labelled(label, Span(start, min(LENGTH, start + size))),
        st.sampled_from("ab"),
        st.integers(0, LENGTH - 1),
        st.integers(1, 12),
    ),
    max_size=4,
)


def residues(span):
    plane = np.zeros(LENGTH, dtype=int)
    plane[span.start : span.end] = 1
    return plane


@given(SPANS, SPANS)
def test_overlap_is_the_jaccard_index_of_residues(first, second):
    iou = overlaps(first, second)
    for row, a in enumerate(first):
        for column, b in enumerate(second):
            expected = jaccard_score(residues(a.span), residues(b.span)) if a.label == b.label else 0
            assert iou[row, column] == pytest.approx(expected)


def brute_force(matrix):
    """Largest total of one-to-one pairs, by trying every assignment."""
    rows, columns = matrix.shape
    if rows > columns:
        return brute_force(matrix.T)
    return max(
        (
            sum(matrix[row, column] for row, column in enumerate(order))
            for order in permutations(range(columns), rows)
        ),
        default=0,
    )


@given(SPANS, SPANS)
def test_matching_is_optimal(first, second):
    iou = overlaps(first, second)
    rows, columns = best_pairs(iou)
    assert iou[rows, columns].sum() == pytest.approx(brute_force(iou))
    for threshold in THRESHOLDS:
        assert hits(iou, threshold) == brute_force((iou >= threshold).astype(int))


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(SPANS, SPANS)
def test_residue_counts_agree_with_scikit_learn(first, second):
    row = counts(first, second, LENGTH)
    labels = sorted({item.label for item in (*first, *second)}) or ["a"]
    guess, truth = (
        np.concatenate(
            [
                np.clip(sum((residues(i.span) for i in items if i.label == label), np.zeros(LENGTH)), 0, 1)
                for label in labels
            ]
        )
        for items in (first, second)
    )
    tp, fp, fn, tn = (row[name] for name in ("tp", "fp", "fn", "tn"))
    assert tp + fp + fn + tn == len(labels) * LENGTH
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, guess, average="binary", zero_division=0
    )
    assert (tp / (tp + fp) if tp + fp else 0) == pytest.approx(precision)
    assert (tp / (tp + fn) if tp + fn else 0) == pytest.approx(recall)
    assert our_f1(tp, tp + fp, tp + fn) == pytest.approx(f1)
    assert matthews(tp, fp, fn, tn) == pytest.approx(matthews_corrcoef(truth, guess))


def test_hand_worked_record():
    # Truth: residues 0-9 and 20-29. Answer: 0-7 (IoU 8/10), 18-28 (9 shared of 12), 40-41 (nothing).
    true = [Labelled("", Span(0, 10)), Labelled("", Span(20, 30))]
    predicted = [Labelled("", Span(0, 8)), Labelled("", Span(18, 29)), Labelled("", Span(40, 42))]
    row = counts(predicted, true, 50)
    assert row["iou"] == pytest.approx((8 / 10 + 9 / 12) / 3)
    assert row["iou_at_1"] == pytest.approx(0.8)
    assert (row["hits_50"], row["hits_75"], row["hits_95"]) == (2, 2, 0)
    assert row["all_hit_50"] == row["all_hit_50_multi"] == row["multi"] == 1
    assert row["boundary"] == (0 + 2) / 2 + (2 + 1) / 2
    assert (row["tp"], row["fp"], row["fn"], row["tn"]) == (17, 4, 3, 26)
