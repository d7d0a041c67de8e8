"""The section of a task, from a small run."""

import pytest
from report_run import build_run

from fragmodel import metric_names
from fragmodel.digests import read_json
from fragmodel.metric_names import DETECTION
from fragmodel.report import metric_tables, run_files, style
from fragmodel.report.sections.task import task_section


@pytest.fixture(scope="module")
def sections(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run = build_run(folder, ("VenusX_Dom",))
    scores, scored = read_json(run["metrics"]), run_files.read_scored(run["scored"])
    truths = run_files.read_truths(run["records"], scored)
    gallery = style.Gallery(folder / "figures")
    with style.drawing():
        return {
            task: task_section(gallery, metric_tables.task_table(scores, task), scores, scored, truths)
            for task in metric_tables.tasks_of(scores)
        }


def test_places_belong_to_grounding_alone(sections):
    assert {task for task, section in sections.items() if section["places"]} == {
        "grounding_single",
        "grounding_group",
    }
    ((data_name, pictures),) = sections["grounding_single"]["places"]
    assert data_name == "VenusX_Dom"
    assert [picture.title for picture in pictures] == [
        "Overlap with the reference",
        "Predicted and true length",
    ]


def test_every_table_is_about_the_primary_metric(sections):
    for task, section in sections.items():
        primary = metric_names.primary(task)
        assert section["verdict"].metric == section["subsets"]["metric"] == primary
        assert section["families"]["tables"][0]["metric"].key == metric_names.RECORD_METRIC[task]
        assert {line[3] for line in section["csv"][f"parts-{task}"][1]} == {primary.key}


def test_what_is_absent_has_its_own_table(sections):
    found = {
        task: [metric.key for metric in section["table"].detection().metrics]
        for task, section in sections.items()
    }
    assert found.pop("grounding_single") == [key for key in DETECTION if key != "detection_auroc"]
    assert not any(found.values())
    single = sections["grounding_single"]
    ((absent, count),) = {(row.absent, row.n) for row in single["table"].rows}
    assert absent > 1
    by_iou, by_specificity = single["families"]["tables"]
    assert (by_iou["rows"][0].n, by_specificity["rows"][0].n) == (count - absent, absent)
    model = by_specificity["rows"][0].cells["model"].value
    (row,) = (row for row in single["table"].rows if row.system == "model")
    assert model == row.cells["specificity"].value == 1 - row.cells["false_positive_rate"].value
    # No figure counts a record that has no place.
    assert f"of {count - absent} records" in single["places"][0][1][0].alt


def test_parts_of_the_test_set_are_in_the_order_of_their_numbers(sections):
    names = list(sections["grounding_single"]["subsets"]["rows"])
    order = ["fragment_length_1", "fragment_length_2-20", "fragment_length_21-100", "fragment_length_101+"]
    assert names == [name for name in order if name in names] and len(names) > 1


def test_free_text_has_no_status_where_no_answer_is_empty(sections):
    assert sections["referring_desc"]["statuses"] == {}
    assert sections["referring_class"]["statuses"] == {"VenusX_Dom": {"ok": 12, "empty": 1}}


def test_tables_have_as_many_cells_as_names(sections):
    for section in sections.values():
        for header, lines in section["csv"].values():
            assert lines and all(len(line) == len(header) for line in lines)
