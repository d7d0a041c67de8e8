"""Results by family, worked by hand: records of several data sets of a family count together."""

import numpy as np
import pyarrow as pa
import pytest

from fragmodel.evaluation.metrics.bootstrap import interval
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


def test_intervals_are_over_the_proteins_of_the_family():
    few = families_section(scored(), "grounding_single")["tables"][0]["rows"][0].cells["model"]
    assert (few.low, few.high) == (None, None)
    rows = [("VenusX_Act" if i % 2 else "VenusXcsv_Act", "model", f"P{i}", i / 12) for i in range(12)]
    cell = families_section(scored(rows), "grounding_single")["tables"][0]["rows"][0].cells["model"]
    values = np.arange(12) / 12
    error = values.std(ddof=1) / np.sqrt(12)
    assert (cell.low, cell.high) == pytest.approx(interval(values.mean(), error, 12), abs=0.02)


def test_another_task_has_none_and_the_csv_has_all():
    assert families_section(scored(), "referring_desc") == {}
    found = families_section(scored(), "grounding_single")
    assert found["tables"][0]["systems"] == ["model", "alignment", "random_span"]
    header, lines = found["csv"]["families-grounding_single"]
    assert len(lines) == 4 and all(len(line) == len(header) for line in lines)
    assert lines[1][:6] == ["active site", 2, 3, "alignment", "iou", 0.25]
