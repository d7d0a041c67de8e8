"""The figure of what evidence does: model with and without it, and the best baseline, pooled over data sets."""

import pytest

from fragmodel.report import metric_tables, style
from fragmodel.report.sections.evidence import evidence_figure


def summary(n, model, without, baseline, **parts):
    systems = {"model_without_evidence": without, "alignment": baseline, "majority": 0.0}
    if without is None:
        del systems["model_without_evidence"]
    return {
        "n": n,
        "proteins": n,
        "model": {"accuracy": model},
        "baselines": {name: {"accuracy": value} for name, value in systems.items()},
        "subsets": {name: summary(*values) for name, values in parts.items()},
    }


def figures(folder, metrics):
    tables = metric_tables.task_table(metrics, "referring_class")
    with style.drawing():
        return evidence_figure(
            style.Gallery(folder),
            metric_tables.verdict(tables),
            metric_tables.subset_table(metrics, "referring_class"),
        )


def test_parts_are_means_over_the_records_of_all_data_sets(tmp_path):
    one = summary(10, 0.5, 0.1, 0.4, evidence_some=(6, 0.5, 0.0, 0.4), clean=(4, 0.2, 0.2, 0.1))
    other = summary(10, 0.7, 0.1, 0.4, evidence_some=(2, 1.0, 0.0, 0.8))
    metrics = {name: {"referring_class": each} for name, each in {"A": one, "B": other}.items()}
    (picture,) = figures(tmp_path, metrics)
    assert picture.name == "evidence-referring_class"
    assert picture.alt == (
        "Classify a fragment, Accuracy by evidence. Question with evidence (8): "
        "Model 0.625, Model without evidence 0.000, Alignment 0.500; "
        "No relative in training (4): Model 0.200, Model without evidence 0.200, Alignment 0.100."
    )


@pytest.mark.parametrize("parts", [{}, {"fragment_length_1": (2, 1.0, None, 0.8)}])
def test_without_evidence_there_is_none(tmp_path, parts):
    assert figures(tmp_path, {"A": {"referring_class": summary(10, 0.5, None, 0.4, **parts)}}) == []
    with_it = {"A": {"referring_class": summary(10, 0.5, 0.1, 0.4, **parts)}}
    assert figures(tmp_path, with_it) == []
