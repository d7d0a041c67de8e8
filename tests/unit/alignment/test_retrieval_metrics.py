"""Recall and MRR against scikit-learn, and the random baseline against all orders."""

from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score

from fragmodel.alignment.retrieval import (
    CUTOFFS,
    both_ways,
    catalogue,
    first_ranks,
    nearest_rows,
    random_metrics,
    retrieval_metrics,
)


def full_ranks(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Ranks from the whole matrix ``[queries, candidates]``: the reference."""
    best = np.where(relevant, scores, -np.inf).max(axis=1)
    return 1 + ((scores >= best[:, None]) & ~relevant).sum(axis=1)


def some_pairs(seed: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Vectors of 9 items and 14 texts, many of them parallel, and pairs in which each has one or more partners.

    Each vector has one entry, 1 or -1, so that cosines are exact and ties many.
    """
    rng = np.random.default_rng(seed)
    items, texts = (torch.zeros(count, 3) for count in (9, 14))
    for side in (items, texts):
        side[torch.arange(len(side)), torch.from_numpy(rng.integers(0, 3, len(side)))] = torch.from_numpy(
            rng.choice([-1.0, 1.0], len(side))
        ).float()
    pairs = [(i % 9, i) for i in range(14)] + [tuple(rng.integers(0, (9, 14))) for _ in range(6)]
    return items, texts, np.unique(np.array(pairs), axis=0)


def test_one_partner_each_is_scikit_learns_accuracy_and_ranking():
    torch.manual_seed(5)
    items = torch.randn(40, 8)
    texts = items + torch.randn(40, 8)
    scores = torch.cosine_similarity(items[:, None], texts[None], dim=2).numpy()
    found = both_ways(
        items, range(40), lambda part: texts[part.start : part.stop], catalogue(range(40), range(40))
    )
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
    assert found.pairs.tolist() == [[0, 0], [0, 1], [1, 1], [2, 2]]
    right = found.right_answers()
    assert {way: (counts.tolist(), n) for way, (counts, n) in right.items()} == {
        "to_text": ([2, 1, 1], 3),
        "from_text": ([1, 2, 1], 3),
    }


@pytest.mark.parametrize("block", [1, 4, 5, 14, 0])
@pytest.mark.parametrize("seed", range(4))
def test_ranks_by_blocks_are_those_of_the_whole_matrix(block, seed):
    items, texts, pairs = some_pairs(seed)
    scores, relevant = (items @ texts.T).numpy(), np.zeros((9, 14), dtype=bool)
    relevant[tuple(pairs.T)] = True
    sizes = []

    def read(part: range) -> torch.Tensor:
        sizes.append(len(part))
        return 2 * texts[part.start : part.stop]  # lengths do not count

    ranks = first_ranks(items, range(9), read, pairs, 14, block)
    assert max(sizes) == (block or 14), "no more texts at once than were asked for"
    assert ranks[0].tolist() == full_ranks(scores, relevant).tolist()
    assert ranks[1].tolist() == full_ranks(scores.T, relevant.T).tolist()


def test_a_tie_counts_against_the_system():
    pairs = np.stack([np.arange(4)] * 2, axis=1)
    ranks = first_ranks(torch.ones(4, 2), range(4), lambda part: torch.ones(len(part), 2), pairs, 4)
    assert [each.tolist() for each in ranks] == [[4, 4, 4, 4]] * 2


def test_vectors_that_are_no_numbers_are_the_worst_not_the_best():
    pairs = np.stack([np.arange(4)] * 2, axis=1)
    broken = torch.full((4, 2), torch.nan)
    ranks = first_ranks(broken, range(4), lambda part: torch.ones(len(part), 2), pairs, 4)
    assert [each.tolist() for each in ranks] == [[4, 4, 4, 4]] * 2


@pytest.mark.parametrize("block", [1, 2, 3, 4096])
def test_nearest_is_the_first_of_the_most_similar_rows(block):
    memory = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    queries = torch.tensor([[5.0, 1.0], [0.1, 0.3], [1.0, 1.1]])
    found = nearest_rows(queries, lambda part: memory[part.start : part.stop], 5, block)
    assert found.tolist() == [0, 1, 4]


@pytest.mark.parametrize("right", [(1, 1), (1, 3), (6, 2)])
def test_random_is_the_mean_over_all_orders(right):
    n = 6
    relevant = np.array([[column < count for column in range(n)] for count in right])
    orders = [
        retrieval_metrics(full_ranks(np.tile(np.array(order, float), (2, 1)), relevant))
        for order in permutations(range(n))
    ]
    expected = {name: np.mean([order[name] for order in orders]) for name in orders[0]}
    assert random_metrics(np.array(right), n) == pytest.approx(expected)
