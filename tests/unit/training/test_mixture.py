"""Shares, order and repeatability of a mixture of data sets."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragmodel.training.mixture import MixtureSampler

PARTS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.7])), min_size=1, max_size=4
)


def sampler(parts: list[tuple[int, float]], seed: int = 1) -> MixtureSampler:
    return MixtureSampler([size for size, _ in parts], [weight for _, weight in parts], seed)


def epoch_of(mixture: MixtureSampler, epoch: int) -> list[int]:
    mixture.set_epoch(epoch)
    return list(mixture)


@pytest.mark.parametrize(
    ("sizes", "weights", "draws"),
    [
        ([10, 30], [1, 1], [10, 30]),
        ([10, 30], [3, 1], [20, 20]),  # 30 : 30
        ([10, 30], [1, 2], [6, 34]),  # 10 : 60 of 40 are 5.7 and 34.3
        ([5, 5, 5], [1, 1, 1], [5, 5, 5]),
        ([3, 3, 3], [1, 1, 2], [2, 2, 5]),  # 2.25, 2.25, 4.5: the odd one goes to the largest remainder
        ([7, 0], [1, 5], [7, 0]),
        ([7, 4], [1, 0], [11, 0]),
    ],
)
def test_shares_worked_by_hand(sizes: list[int], weights: list[float], draws: list[int]) -> None:
    mixture = MixtureSampler(sizes, weights, seed=1)
    assert mixture.draws == draws
    indices = list(mixture)
    first = Counter(next(part for part in range(len(sizes)) if i < sum(sizes[: part + 1])) for i in indices)
    assert [first[part] for part in range(len(sizes))] == draws


@given(parts=PARTS)
def test_shares_are_exact_to_less_than_one_record(parts: list[tuple[int, float]]) -> None:
    mixture = sampler(parts)
    total = sum(size for size, _ in parts)
    assert len(mixture) == len(list(mixture)) == sum(mixture.draws) == total
    exact = [Fraction(weight).limit_denominator(1000) * size for size, weight in parts]
    for draws, part in zip(mixture.draws, exact, strict=True):
        assert abs(draws - (total * part / sum(exact) if total else 0)) < 1


@given(parts=PARTS, epochs=st.integers(1, 4), seed=st.integers(0, 5))
def test_no_record_comes_again_before_all_others_have(
    parts: list[tuple[int, float]], epochs: int, seed: int
) -> None:
    mixture = sampler(parts, seed)
    counts = Counter(index for epoch in range(epochs) for index in epoch_of(mixture, epoch))
    offset = 0
    for size, _ in parts:
        of_part = [counts[index] for index in range(offset, offset + size)]
        assert not of_part or max(of_part) - min(of_part) <= 1
        offset += size
    assert all(index < offset for index in counts)


@given(parts=PARTS, epoch=st.integers(0, 50), seed=st.integers(0, 5))
def test_an_epoch_needs_no_history(parts: list[tuple[int, float]], epoch: int, seed: int) -> None:
    """What a resumed run draws is what the uninterrupted one would have drawn."""
    uninterrupted = sampler(parts, seed)
    for past in range(min(epoch, 3)):
        epoch_of(uninterrupted, past)
    assert epoch_of(uninterrupted, epoch) == epoch_of(sampler(parts, seed), epoch)


def test_equal_weights_draw_each_record_once_an_epoch() -> None:
    mixture = sampler([(20, 1.0), (13, 1.0)])
    for epoch in range(3):
        assert sorted(epoch_of(mixture, epoch)) == list(range(33))


def test_epochs_and_seeds_differ_and_data_sets_interleave() -> None:
    mixture = sampler([(40, 1.0), (40, 1.0)])
    first = epoch_of(mixture, 0)
    assert first != epoch_of(mixture, 1)
    assert first != epoch_of(sampler([(40, 1.0), (40, 1.0)], seed=2), 0)
    assert 10 <= sum(index < 40 for index in first[:40]) <= 30


def test_data_sets_of_one_size_are_in_orders_of_their_own() -> None:
    epoch = epoch_of(sampler([(40, 0.5), (40, 0.5), (40, 2.0)]), 0)
    one, other = ({index % 40 for index in epoch if index // 40 == part} for part in (0, 1))
    assert len(one) == len(other) == 20  # the first halves of their permutations
    assert one != other
