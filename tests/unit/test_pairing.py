import pytest
from hypothesis import given
from labelled_spans import SPANS, brute_force, residues
from sklearn.metrics import jaccard_score

from fragmodel.pairing import best_pairs, mean_overlap, overlaps


@given(SPANS, SPANS)
def test_overlap_is_the_jaccard_index_of_residues(first, second):
    iou = overlaps(first, second)
    for row, a in enumerate(first):
        for column, b in enumerate(second):
            expected = jaccard_score(residues(a.span), residues(b.span)) if a.label == b.label else 0
            assert iou[row, column] == pytest.approx(expected)


@given(SPANS, SPANS)
def test_pairs_are_optimal(first, second):
    iou = overlaps(first, second)
    rows, columns = best_pairs(iou)
    assert iou[rows, columns].sum() == pytest.approx(brute_force(iou))
    assert mean_overlap(iou) == pytest.approx(brute_force(iou) / max(len(first), len(second), 1))
