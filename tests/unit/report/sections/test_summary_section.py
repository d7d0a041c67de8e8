"""The head of the page, worked by hand."""

from collections import Counter

import numpy as np
import pyarrow as pa

from fragmodel.report.metric_tables import task_table
from fragmodel.report.run_files import Log, Losses, SplitSummary
from fragmodel.report.sections.summary import summary_section

METRICS = {
    "A": {
        "referring_class": {
            "n": 12,
            "proteins": 12,
            "model": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}},
            "baselines": {"majority": {"accuracy": {"value": 0.25, "low": 0.2, "high": 0.3}}},
            "against": {"majority": {"difference": 0.25, "p": 0.02}},
        }
    },
    "B": {
        "referring_class": {
            "n": 2,
            "proteins": 2,
            "model": {"accuracy": 0.5},
            "baselines": {"majority": {"accuracy": 0.75}},
            "against": {"majority": {"difference": -0.25, "p": None}},
        }
    },
}
ANSWERS = [  # system, task, status
    ("model", "referring_class", "ok"),
    ("model", "grounding_single", "no_span"),
    ("model", "grounding_single", "reversed"),
    ("model", "referring_desc", "ok"),
    ("model", "function", "ok"),
    ("majority", "referring_class", "ok"),
]


def split(name, number):
    none = np.array([], dtype=np.int64)
    return SplitSummary("A", "referring_class", name, number, 1, 2, none, none, Counter())


def summary(log, run, answers=ANSWERS):
    columns = ("system", "task_type", "parse_status")
    scored = pa.table(
        {name: pa.array([row[i] for row in answers], pa.string()) for i, name in enumerate(columns)}
    )
    splits = [split("train", 5), split("valid", 0), split("test", 3)]
    return summary_section([task_table(METRICS, "referring_class")], splits, log, scored, run)


def test_counts_claims_and_losses():
    log = Log(train=[{"step": 5, "loss": 3.0}, {"step": 9, "loss": 1.0}], valid=[], well_formed=[])
    found = summary(log, {"models": {"encoder": {"stand_in": False}, "decoder": {"stand_in": True}}})
    assert found["claim"].startswith("The model is clearly better than every baseline in 1 of 2 pairs")
    assert found["claim"].endswith("in 1 the test set has fewer than 10 proteins, too few to compare.")
    assert found["scored"] == 14
    assert found["records"] == {"train": 5, "valid": 0, "test": 3}
    assert (found["data_sets"], found["tasks"], found["rejected"]) == (["A"], 1, 6)
    assert (found["losses"], found["steps"]) == (Losses(3.0, 1.0), 9)
    assert found["stand_ins"] == ["decoder"]


def test_only_the_models_answers_with_a_format_can_be_well_formed():
    assert summary(Log([], [], []), {})["well_formed"] == 1 / 3


def test_a_run_without_training_and_answers_has_neither_loss_nor_share():
    found = summary(Log([], [], []), {}, answers=[])
    assert (found["losses"], found["steps"], found["well_formed"], found["stand_ins"]) == (None, 0, None, [])
