"""The test behind claims, against scipy and by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_1samp

from fragmodel.evaluation.metrics.bootstrap import FEWEST_PROTEINS
from fragmodel.evaluation.metrics.paired import holm, paired, permutation_p


@pytest.mark.parametrize("samples, tolerance", [(5000, 1e-12), (4000, 0.02)])
def test_permutation_test_is_exact_for_few_proteins_and_drawn_for_many(samples, tolerance):
    """4,096 arrangements of 12 proteins: all of them, or a sample."""
    differences = np.array([0.3, 0.1, -0.2, 0.6, 0.4, 0.05, 0.1, -0.3, 0.2, 0.25, -0.1, 0.3])
    every = [
        abs(np.dot(signs, differences)) >= abs(differences.sum()) - 1e-9
        for signs in product((-1, 1), repeat=12)
    ]
    ours = permutation_p(differences, list("abcdefghijkl"), samples=samples, seed=1)
    assert ours == pytest.approx(np.mean(every), abs=tolerance)
    theirs = permutation_test(
        (differences,), lambda a, axis: a.mean(axis=axis), permutation_type="samples", vectorized=True
    )
    assert ours == pytest.approx(theirs.pvalue, abs=tolerance)


def test_records_of_a_protein_are_exchanged_together():
    # Three records of one protein are one observation: its two arrangements are equally extreme.
    assert permutation_p(np.ones(3), ["P", "P", "P"], samples=500, seed=1) == 1
    assert permutation_p(np.ones(12), [str(i) for i in range(12)], samples=5000, seed=1) == 2 / 2**12
    assert permutation_p(np.ones(40), [str(i) for i in range(40)], samples=99, seed=1) == 0.01


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_only_raises_and_keeps_the_order(values):
    corrected = holm(values)
    assert all(0 <= value <= new <= 1 for value, new in zip(values, corrected, strict=True))
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_the_interval_is_student_s_where_each_protein_has_one_record():
    rng = np.random.default_rng(2)
    a, b = rng.uniform(size=(2, 30))
    found = paired(a, b, [str(i) for i in range(30)])
    theirs = ttest_1samp(b - a, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(theirs))
    assert (found.records, found.proteins, found.difference) == (30, 30, pytest.approx((b - a).mean()))


def test_repeated_records_of_a_protein_add_nothing():
    rng = np.random.default_rng(3)
    a, b = rng.uniform(size=(2, 15))
    names = [str(i) for i in range(15)]
    once, thrice = paired(a, b, names), paired(np.tile(a, 3), np.tile(b, 3), names * 3)
    assert thrice.records == 45 and thrice.proteins == 15
    assert thrice[2:7] == pytest.approx(once[2:7]) and thrice.p == pytest.approx(once.p, abs=0.02)


def test_too_few_proteins_and_equal_differences_have_no_interval():
    few = [str(i) for i in range(FEWEST_PROTEINS - 1)]
    found = paired(np.zeros(9), np.ones(9), few)
    assert (found.difference, found.low, found.high, found.p) == (1, None, None, None)
    # Many records do not make up for it.
    assert paired(np.zeros(90), np.ones(90), few * 10).p is None
    enough = paired(np.zeros(10), np.ones(10), [*few, "x"])
    assert (enough.low, enough.p) == (None, 2 / 2**10)
