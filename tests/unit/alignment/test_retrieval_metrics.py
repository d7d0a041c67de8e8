"""Recall and MRR against scikit-learn, and the random baseline against all orders."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score

from fragmodel.alignment.retrieval import (
    CUTOFFS,
    both_ways,
    catalogue,
    first_ranks,
    random_metrics,
    retrieval_metrics,
)


def test_one_partner_each_is_scikit_learns_accuracy_and_ranking():
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(40, 40)) + 1.5 * np.eye(40)
    found = both_ways(scores, np.eye(40, dtype=bool))
    for way, matrix in (("to_text", scores), ("from_text", scores.T)):
        for k in CUTOFFS:
            expected = top_k_accuracy_score(np.arange(40), matrix, k=k)
            assert found[way][f"recall_at_{k}"] == pytest.approx(expected)
        expected = label_ranking_average_precision_score(np.eye(40, dtype=int), matrix)
        assert found[way]["mrr"] == pytest.approx(expected)


def test_repeated_items_and_texts_count_once():
    """Protein a has two texts, and text 2 belongs to two proteins."""
    found = catalogue(list("aabc"), [1, 2, 2, 3])
    assert found.item_rows.tolist() == [0, 2, 3]
    assert found.text_rows.tolist() == [0, 1, 3]
    assert found.relevant.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    scores = np.array([[0.1, 0.9, 0.5], [0.9, 0.8, 0.7], [0.2, 0.3, 0.1]])
    assert first_ranks(scores, found.relevant).tolist() == [1, 2, 3]


def test_a_tie_counts_against_the_system():
    everything_equal = np.zeros((4, 4))
    assert first_ranks(everything_equal, np.eye(4, dtype=bool)).tolist() == [4, 4, 4, 4]


@pytest.mark.parametrize("right", [(1, 1), (1, 3), (6, 2)])
def test_random_is_the_mean_over_all_orders(right):
    n = 6
    relevant = np.array([[column < count for column in range(n)] for count in right])
    orders = [
        retrieval_metrics(first_ranks(np.tile(np.array(order, float), (2, 1)), relevant))
        for order in permutations(range(n))
    ]
    expected = {name: np.mean([order[name] for order in orders]) for name in orders[0]}
    assert random_metrics(relevant) == pytest.approx(expected)
