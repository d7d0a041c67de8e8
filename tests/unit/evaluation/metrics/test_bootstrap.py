"""Intervals: how often they cover the truth, independent references, and where there is none."""

import numpy as np
import pytest
from scipy.stats import bootstrap, t

from fragmodel.evaluation.metrics.bootstrap import FEWEST_PROTEINS, estimate, interval, resamples
from fragmodel.evaluation.metrics.ratios import divide


def test_resamples_draw_whole_proteins():
    (weights,) = resamples(["P1", "P2", "P1", "P3"], 50, seed=3)
    assert weights.shape == (50, 4)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def mean_of(values, name="accuracy"):
    return lambda weights: {name: divide(weights @ values, weights.sum(axis=1), empty=np.nan)}


def names(number):
    return [str(i) for i in range(number)]


# kind, proteins, share, correlation within a protein, records of a protein (0: one and more, 2.5 in the mean)
DESIGNS = [
    ("share", 15, 0.3, 0.3, 0),
    ("share", 15, 0.5, 0.3, 3),
    ("share", 20, 0.2, 0.3, 0),
    ("share", 30, 0.9, 0.2, 0),
    ("IoU", 10, 0.8, 0.3, 0),
    ("IoU", 20, 0.2, 0.3, 0),
    ("F1", 10, 0.8, 0.3, 0),
    ("F1", 20, 0.3, 0.3, 0),
]


def draw(rng, kind, proteins, share, correlation, records):
    """(protein of each record, metric of weights, its true value): right answers by protein are beta-binomial."""
    sizes = np.full(proteins, records) if records else rng.geometric(0.4, proteins)
    spread = (1 - correlation) / correlation if correlation else None
    chances = rng.beta(share * spread, (1 - share) * spread, proteins) if spread else np.full(proteins, share)
    owner = np.repeat(np.arange(proteins), sizes)
    if kind == "F1":  # of spans: one to three true and predicted ones in a record, some of them hits
        true, predicted = rng.integers(1, 4, (2, len(owner)))
        hits = rng.binomial(np.minimum(true, predicted), chances[owner])
        mean_of_smaller = np.mean([min(a, b) for a in (1, 2, 3) for b in (1, 2, 3)])
        return (
            owner,
            lambda weights: {"f1_50": divide(2 * weights @ hits, weights @ (true + predicted))},
            share * mean_of_smaller / 2,
        )
    right = (rng.random(len(owner)) < chances[owner]).astype(float)
    if kind == "IoU":  # 0 or around 2/3
        return owner, mean_of(right * rng.beta(4, 2, len(owner)), "iou_mean"), share * 2 / 3
    return owner, mean_of(right), share


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_intervals_cover_the_truth_as_often_as_they_say(design):
    rng, covered, runs = np.random.default_rng(11), 0, 500
    for seed in range(runs):
        owner, values, truth = draw(rng, *design)
        (found,) = estimate(values, owner.tolist(), samples=150, seed=seed).values()
        covered += isinstance(found, dict) and found["low"] <= truth <= found["high"]
    assert 0.93 <= covered / runs <= 0.97


def test_percentiles_would_not_do():
    """What the simulation above is there for."""
    rng, covered = np.random.default_rng(11), 0
    for seed in range(200):
        owner, values, truth = draw(rng, "share", 10, 0.2, 0.3, 0)
        drawn = np.concatenate([values(weights)["accuracy"] for weights in resamples(owner, 150, seed)])
        low, high = np.percentile(drawn, [2.5, 97.5])
        covered += low <= truth <= high
    assert covered / 200 < 0.9


def test_the_interval_of_a_mean_of_many_proteins_is_that_of_scipy():
    values = np.random.default_rng(1).beta(2, 3, size=400)
    ours = estimate(mean_of(values), names(400), samples=3000, seed=2)["accuracy"]
    theirs = bootstrap((values,), np.mean, n_resamples=3000, method="percentile", rng=5).confidence_interval
    assert ours["value"] == pytest.approx(values.mean(), abs=1e-6)
    assert (ours["low"], ours["high"]) == pytest.approx(tuple(theirs), abs=0.004)


@pytest.mark.parametrize("right, number", [(3, 12), (0, 12), (12, 12), (40, 50)])
def test_the_interval_of_a_share_is_wilson_s_score_interval(right, number):
    """The bounds are where the score test of the observed share has its quantile."""
    share = right / number
    low, high = interval(share, np.sqrt(share * (1 - share) / number), number)
    quantile = t.ppf(0.975, number - 1)
    for bound in (low, high):
        if 0 < bound < 1:
            assert abs(share - bound) / np.sqrt(bound * (1 - bound) / number) == pytest.approx(quantile)
    assert 0 <= low <= share <= high <= 1 and low < high


def test_bounds_other_than_0_and_1_and_none():
    low, high = interval(0.25, 0.1, 20)
    assert interval(25, 10, 20, 0, 100) == pytest.approx((100 * low, 100 * high))
    assert interval(-0.5, 0.2, 20, -1, 1) == pytest.approx((2 * low - 1, 2 * high - 1))
    quantile = t.ppf(0.975, 19)
    assert interval(7.0, 2.0, 20, None) == pytest.approx((7 - 2 * quantile, 7 + 2 * quantile))
    assert np.log(interval(7.0, 2.0, 20, 0, None)) == pytest.approx(
        [np.log(7) - quantile * 2 / 7, np.log(7) + quantile * 2 / 7]
    )


def test_too_few_proteins_have_a_number_alone():
    few = names(FEWEST_PROTEINS - 1)
    values = np.arange(90) % 2.0
    assert estimate(mean_of(values), few * 10, samples=100, seed=1) == {"accuracy": 0.5}
    assert isinstance(estimate(mean_of(values), names(10) * 9, samples=100, seed=1)["accuracy"], dict)


def test_a_sample_that_does_not_vary_has_an_interval_only_on_a_bound():
    assert estimate(mean_of(np.full(20, 0.4)), names(20), samples=100, seed=1) == {"accuracy": 0.4}
    wrong = estimate(mean_of(np.zeros(20)), names(20), samples=100, seed=1)["accuracy"]
    assert wrong["low"] == wrong["value"] == 0 and 0.1 < wrong["high"] < 0.25


def test_a_metric_of_few_proteins_among_many_has_no_interval():
    """Such as all-hit of records with several spans."""
    values = np.where(np.arange(60) % 10 == 0, np.arange(60) % 20 / 10, np.nan)
    defined = np.isfinite(values)

    def metrics(weights):
        total = weights @ defined
        return {"all_hit_50_multi": divide(weights @ np.nan_to_num(values), total, empty=np.nan)}

    assert estimate(metrics, names(60), samples=100, seed=1) == {"all_hit_50_multi": 0.5}


def test_a_part_is_the_same_as_its_records_alone():
    rng = np.random.default_rng(4)
    values, mask = rng.uniform(size=50), np.arange(50) % 3 > 0
    part = estimate(mean_of(values), names(50), samples=200, seed=1, mask=mask)
    alone = estimate(
        mean_of(values[mask]),
        [n for n, kept in zip(names(50), mask, strict=True) if kept],
        samples=200,
        seed=1,
    )
    assert part == alone
    assert estimate(mean_of(values), names(50), samples=200, seed=1, mask=np.arange(50) < 5) == {
        "accuracy": round(values[:5].mean(), 6)
    }
