"""One table of headline metrics: it fits what scoring computes, and report and model card both follow it."""

import numpy as np
import pytest

from fragmodel import metric_names
from fragmodel.evaluation.judge import judge
from fragmodel.evaluation.parse import ClassNames
from fragmodel.evaluation.references import Key, Reference
from fragmodel.metric_names import HEADLINE, RECORD_METRIC
from fragmodel.prediction.card import headline_rows
from fragmodel.report.metric_tables import task_table, verdict
from fragmodel.vocabulary import DESCRIBING_TASKS, GROUNDING_TASKS, TASK_TYPES, Span

BY_ENCODER = {"similarity", "retrieval_top1"}  # computed only where a sentence encoder is at hand


def test_every_task_has_headline_metrics():
    assert set(HEADLINE) == set(TASK_TYPES) and all(HEADLINE.values())


@pytest.mark.parametrize("task", TASK_TYPES)
def test_scoring_computes_them(task):
    groups = [("SH3", [Span(0, 5)])] if task in GROUNDING_TASKS else []
    reference = Reference(Key("A", task, "r"), "P", "M" * 20, "SH3", ["SH3"], None, groups)
    answer = "SH3: (1,6)" if task in GROUNDING_TASKS else "SH3"
    scores = judge(task, [reference], [answer], ClassNames(["SH3"]), []).scores
    expected = set(HEADLINE[task]) - (BY_ENCODER if task in DESCRIBING_TASKS else set())
    assert expected <= set(scores.values(np.ones((1, 1))))
    assert RECORD_METRIC[task] in scores.per_record()


@pytest.mark.parametrize("task", TASK_TYPES)
def test_report_and_card_show_the_same_in_the_same_order(task):
    values = dict.fromkeys(sorted({*HEADLINE[task], "a_metric", "another_metric"}), 0.5)
    metrics = {"A": {task: {"n": 1, "model": values, "baselines": {}}}}
    table = task_table(metrics, task)
    card = [row["metric"].split()[0] for row in headline_rows(metrics)]
    assert card == [metric.key for metric in table.headline] == list(HEADLINE[task])
    assert verdict(table).metric == metric_names.primary(task) == metric_names.metric(card[0])


def test_places_are_compared_by_mean_iou():
    assert [metric_names.primary(task).key for task in GROUNDING_TASKS] == ["iou_mean", "iou_mean"]


def test_unknown_metrics_and_agnostic_ones_have_names():
    assert metric_names.metric("brand_new").label == "Brand new"
    agnostic = metric_names.metric("agnostic_boundary_error")
    assert agnostic.label == "Boundary error (residues), any class"
    assert not agnostic.higher_is_better
