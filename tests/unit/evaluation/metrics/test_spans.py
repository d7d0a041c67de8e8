import numpy as np
import pytest
from hypothesis import given
from labelled_spans import LENGTH, SPANS, brute_force, residues
from sklearn.metrics import matthews_corrcoef, precision_recall_fscore_support

from fragmodel.evaluation.metrics.ratios import f1 as our_f1
from fragmodel.evaluation.metrics.ratios import matthews
from fragmodel.evaluation.metrics.spans import THRESHOLDS, counts, hits
from fragmodel.pairing import Labelled, overlaps
from fragmodel.vocabulary import Span


@given(SPANS, SPANS)
def test_hits_are_as_many_as_can_be(first, second):
    iou = overlaps(first, second)
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
