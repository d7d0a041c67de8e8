"""Results by family, worked by hand: records of several data sets of a family count together."""

import numpy as np
import pyarrow as pa
import pytest

from fragmodel.evaluation.metrics.bootstrap import resamples
from fragmodel.report.sections.families import families_section

ROWS = [  # data set, system, protein, IoU
    ("VenusX_Act", "model", "P1", 1.0),
    ("VenusX_Act", "model", "P2", 0.0),
    ("VenusXcsv_Act", "model", "P3", 0.5),
    ("VenusX_Act", "alignment", "P1", 0.25),
    ("VenusX_Dom", "model", "P1", 0.75),
    ("VenusX_Dom", "random_span", "P1", 0.0),
]


def scored(rows=ROWS, task="grounding_single"):
    names = ("data_name", "system", "uid")
    table = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    metrics = pa.array([[("iou", row[3])] for row in rows], pa.map_(pa.string(), pa.float64()))
    ids = [f"{row[2]}:{number}" for number, row in enumerate(rows)]
    return pa.table({**table, "record_id": ids, "task_type": [task] * len(rows), "metrics": metrics})


def test_data_sets_of_a_family_are_pooled():
    found = families_section(scored(), "grounding_single")
    active, domain = found["tables"][0]["rows"]
    assert (active.family, active.data_sets, active.n) == ("active site", 2, 3)
    assert (domain.family, domain.data_sets, domain.n) == ("domain", 1, 1)
    assert list(active.cells) == ["model", "alignment"] and list(domain.cells) == ["model", "random_span"]
    assert active.cells["model"].value == 0.5 and active.cells["alignment"].value == 0.25
    assert domain.cells["model"].value == 0.75


def test_intervals_are_those_of_drawn_proteins():
    active = families_section(scored(), "grounding_single")["tables"][0]["rows"][0].cells["model"]
    proteins, values = (
        np.array(["P2", "P3", "P1"]),
        np.array([0.0, 0.5, 1.0]),
    )  # the worst first, as records come
    drawn = [np.average(values, weights=row) for block in resamples(proteins, 1000, 1) for row in block]
    assert (active.low, active.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=1e-6)


def test_another_task_has_none_and_the_csv_has_all():
    assert families_section(scored(), "referring_desc") == {}
    found = families_section(scored(), "grounding_single")
    assert found["tables"][0]["systems"] == ["model", "alignment", "random_span"]
    header, lines = found["csv"]["families-grounding_single"]
    assert len(lines) == 4 and all(len(line) == len(header) for line in lines)
    assert lines[1][:6] == ["active site", 2, 3, "alignment", "iou", 0.25]
