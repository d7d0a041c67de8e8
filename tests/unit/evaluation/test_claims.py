"""What is said of a model beside its baselines."""

import numpy as np
import pytest

from fragmodel.evaluation.claims import (
    Contest,
    Standing,
    against,
    standings,
    together,
    told,
    told_together,
)
from fragmodel.vocabulary import ALL_DATA_SETS


def pair(p, difference=0.2):
    return {"metric": "accuracy", "records": 20, "proteins": 20, "difference": difference, "p": p}


def metrics(**data_sets):
    """Data set -> p-values, or (p, difference), against baselines."""
    return {
        name: {
            "referring_class": {
                "against": {f"b{i}": pair(*np.atleast_1d(entry)) for i, entry in enumerate(entries)}
            }
        }
        for name, entries in data_sets.items()
    }


def test_every_baseline_must_be_beaten():
    found = standings(metrics(A=[0.001, 0.002], B=[0.001, 0.2], C=[(0.001, -0.2), 0.001]))
    assert list(found.values()) == [Standing.BETTER, Standing.OPEN, Standing.OPEN]
    assert list(found) == [Contest(name, "referring_class") for name in "ABC"]


def test_claims_are_corrected_for_all_contests_of_a_run():
    assert list(standings(metrics(A=[0.03])).values()) == [Standing.BETTER]
    assert list(standings(metrics(A=[0.03], B=[0.6])).values()) == [Standing.OPEN, Standing.OPEN]
    assert list(standings(metrics(A=[0.02], B=[0.04])).values()) == [Standing.BETTER, Standing.BETTER]


def test_too_few_proteins_are_told_and_correct_nothing():
    found = standings({**metrics(A=[0.03]), "B": {"referring_class": {"against": {"b": pair(None, 1.0)}}}})
    assert list(found.values()) == [Standing.BETTER, Standing.TOO_FEW]


def test_a_task_without_a_model_or_baselines_is_no_contest():
    assert standings({"A": {"referring_class": {"against": {}}, "function": {"n": 3}}}) == {}


@pytest.mark.parametrize(
    "found, says",
    [
        ([], ""),
        (
            [Standing.TOO_FEW],
            "In the 1 pair of data set and task the test set has fewer than 10 proteins, too few",
        ),
        ([Standing.TOO_FEW] * 2, "In all 2 pairs of data set and task the test set has fewer than 10"),
        (
            [Standing.OPEN],
            "The model is clearly better than every baseline in none of 1 pair of data set and task (pa",
        ),
        (
            [Standing.BETTER, Standing.OPEN, Standing.TOO_FEW],
            "The model is clearly better than every baseline in 1 of 3 pairs of data set and task (paired "
            "permutation tests over proteins, p < 0.05 after Holm's correction); in 1 the test set has fewer than",
        ),
    ],
)
def test_the_sentence(found, says):
    sentence = told(found)
    assert sentence.startswith(says) and "\n" not in sentence and sentence.count(".") <= 3


def test_an_entry_of_the_metrics_has_plain_numbers():
    entry = against(np.zeros(12), np.ones(12), [str(i) for i in range(12)], "iou", 1)
    assert entry == {
        "metric": "iou", "records": 12, "proteins": 12, "difference": 1.0, "low": None, "high": None,
        "p": round(2 / 2**12, 6),
    }  # fmt: skip


def test_over_all_data_sets_tasks_are_corrected_among_themselves():
    pooled = {"referring_class": {"against": {"b": pair(0.02), "model_without_evidence": pair(0.9)}}}
    found = {**metrics(A=[0.6], B=[0.6]), ALL_DATA_SETS: pooled}
    assert together(found) == {"referring_class": Standing.BETTER}
    pooled["grounding_single"] = {"against": {"b": pair(0.03), "c": pair(0.2)}}
    assert together(found) == {"referring_class": Standing.BETTER, "grounding_single": Standing.OPEN}
    assert list(standings(found).values()) == [Standing.OPEN, Standing.OPEN], "single data sets stand alone"
    assert told_together(together(found)) == (
        "Over all data sets the model is clearly better than every baseline in 1 of 2 tasks (referring_class)."
    )
    assert together(metrics(A=[0.01])) == {} and told_together({}) == ""
