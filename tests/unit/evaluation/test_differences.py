"""Variants with several seeds: what is compared, how p-values are corrected, and what is called clear."""

import itertools

import numpy as np
import pytest

from fragmodel.evaluation.compare import ScoredRow
from fragmodel.evaluation.references import Key
from fragmodel.evaluation.subsets import Identity
from fragmodel.evaluation.variants import Finding, differences

PROTEINS = 11


def scores(values: np.ndarray, task: str = "referring_class", metric: str = "accuracy") -> dict:
    """A run's scores: [proteins, records of each]."""
    return {
        Key("Mine_Dom", task, f"{protein}-{number}"): ScoredRow(f"P{protein}", {metric: float(value)})
        for protein, row in enumerate(values)
        for number, value in enumerate(row)
    }


def by_hand(gains: np.ndarray) -> float:
    """The exact p-value of flipping whole proteins ([proteins, records])."""
    sums = gains.sum(axis=1)
    flips = np.array(list(itertools.product([1, -1], repeat=len(sums))))
    return float((np.abs(flips @ sums) >= abs(sums.sum()) - 1e-9).mean())


@pytest.fixture
def drawn() -> dict[str, list[np.ndarray]]:
    """Scores of three variants with two seeds; `better` gains everywhere, `noise` nowhere in particular."""
    rng = np.random.default_rng(3)
    base = [rng.random((PROTEINS, 2)) for _ in range(2)]
    return {
        "plain": base,
        "better": [values + 0.2 + 0.1 * rng.random(values.shape) for values in base],
        "noise": [values + rng.normal(0, 0.3, values.shape) for values in base],
    }


def test_seeds_are_averaged_and_all_tests_corrected_together(drawn):
    runs = {name: [scores(values) for values in seeds] for name, seeds in drawn.items()}
    found = {each.variant: each for each in differences(runs, "plain", {}, 0.3)}
    assert list(found) == ["better", "noise"]
    mean = {name: np.mean(seeds, axis=0) for name, seeds in drawn.items()}
    for name, each in found.items():
        assert each.found.difference == pytest.approx((mean[name] - mean["plain"]).mean())
        assert each.found.p == pytest.approx(by_hand(mean[name] - mean["plain"]))
        assert each.seeds == pytest.approx(
            [(b - a).mean() for a, b in zip(drawn["plain"], drawn[name], strict=True)]
        )
        assert each.found.proteins == PROTEINS
    assert found["better"].p_holm == pytest.approx(2 * found["better"].found.p)  # the smaller of two
    assert found["noise"].p_holm == pytest.approx(found["noise"].found.p)
    assert (found["better"].finding, found["noise"].finding) == (Finding.BETTER, Finding.OPEN)


def test_a_seed_that_disagrees_leaves_it_open(drawn):
    drawn["better"][0] = drawn["plain"][0] - 0.01
    drawn["better"][1] = drawn["plain"][1] + 1
    runs = {name: [scores(values) for values in drawn[name]] for name in ("plain", "better")}
    (found,) = differences(runs, "plain", {}, 0.3)
    assert found.p_holm < 0.05 and found.seeds[0] < 0 < found.seeds[1]
    assert found.finding is Finding.OPEN


def test_the_clean_part_has_the_clean_records_alone(drawn):
    runs = {name: [scores(values) for values in drawn[name]] for name in ("plain", "better")}
    keys = list(runs["plain"][0])
    identities = {key: Identity(0.1 if key.record_id.endswith("-0") else 0.9) for key in keys}
    whole, clean = differences(runs, "plain", identities, 0.3)
    assert (whole.part, whole.found.records) == ("all", 2 * PROTEINS)
    assert (clean.part, clean.found.records) == ("clean", PROTEINS)
    mean = {name: np.mean(seeds, axis=0)[:, :1] for name, seeds in drawn.items()}
    assert clean.found.difference == pytest.approx((mean["better"] - mean["plain"]).mean())


def test_few_proteins_allow_no_claim(drawn):
    runs = {name: [scores(values[:3]) for values in drawn[name]] for name in ("plain", "better")}
    (found,) = differences(runs, "plain", {}, 0.3)
    assert found.p_holm is None and found.finding is Finding.TOO_FEW


def test_records_that_a_run_lacks_are_left_out_of_both(drawn):
    runs = {name: [scores(values) for values in drawn[name]] for name in ("plain", "better")}
    missing = next(iter(runs["better"][1]))
    del runs["better"][1][missing]
    (found,) = differences(runs, "plain", {}, 0.3)
    assert found.found.records == 2 * PROTEINS - 1
