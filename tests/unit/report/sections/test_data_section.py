"""The section on the data, worked by hand."""

from collections import Counter

import numpy as np
import pytest

from fragmodel.report import style
from fragmodel.report.run_files import SplitSummary
from fragmodel.report.sections.data import data_section

AUDIT = {
    "note": "As searched.",
    "thresholds": [0.5, 0.9],
    "datasets": {
        "A": {
            "grounding_single": {
                "proteins": 4,
                "relatives": {"0.5": 2, "0.9": 1},
                "records": 5,
                "fragment_relatives": {"0.5": 3, "0.9": 2},
                "clean": {"0.5": 1, "0.9": 3},
            },
            "referring_desc": {
                "proteins": 2,
                "relatives": {"0.5": 2},
                "records": 2,
                "fragment_relatives": {"0.5": 1},
                "clean": {"0.5": 0, "0.9": 2},
            },
            "function": {"proteins": 0, "relatives": {}},
        }
    },
}


def split(task, name, lengths, classes, absent=0):
    lengths = np.array(lengths, dtype=np.int64)
    return SplitSummary("A", task, name, len(lengths), 2, 1, lengths * 10, lengths, Counter(classes), absent)


SPLITS = [
    split("grounding_single", "train", [3, 5, 9], {"x": 2, "y": 1}, absent=2),
    split("grounding_single", "test", [4], {"x": 1}),
    split("referring_desc", "train", [3, 5], {"x": 2}),
]
REJECTS = [
    {"reason": "conflicting_labels", "counts": Counter({"B": 1, "A": 2}), "example": "file, record 1: why"}
]


@pytest.fixture
def section(tmp_path):
    with style.drawing():
        return data_section(style.Gallery(tmp_path), SPLITS, REJECTS, AUDIT)


def test_records_count_by_task_and_fragments_once(section):
    single, describing = section["split_rows"]
    assert single == {
        **{"data_name": "A", "task": "grounding_single", "proteins": 4, "rejected": 2},
        **{"train": 3, "train_absent": 2, "test": 1, "test_absent": 0},
    }
    assert (describing["task"], describing["train"], describing["train_absent"]) == ("referring_desc", 2, 0)
    assert section["common"] == {"A": (2, [("x", 3), ("y", 1)])}  # of grounding alone
    (picture,) = section["lengths"]
    assert picture.alt == "Fragment lengths in A; median residues: train 5, test 4."
    assert section["proteins"].alt.endswith("median residues: train 50, test 40.")  # of all tasks


def test_relatives_are_those_of_the_widest_task(section):
    leakage = section["leakage"]
    assert leakage["limits"] == ["0.9", "0.5"] and leakage["note"] == "As searched."
    assert [(row["task"], row["relatives"]) for row in leakage["rows"]] == [
        ("grounding_single", {"0.9": 1, "0.5": 2}),
        ("referring_desc", {"0.9": 0, "0.5": 2}),
    ]
    whole, fragments = leakage["pictures"]
    assert whole.alt.endswith("A: 25% at 90%, 50% at 50%.")
    assert fragments.alt.endswith("A: 40% at 90%, 60% at 50%.")


def test_tables_for_papers(section):
    assert set(section["csv"]) == {"data", "classes", "rejects", "leakage"}
    assert section["csv"]["leakage"] == (
        [
            *("data_set", "task", "proteins", "identity_0.9", "identity_0.5"),
            *("records", "fragment_identity_0.9", "fragment_identity_0.5", "clean_0.9", "clean_0.5"),
        ],
        [
            ["A", "grounding_single", 4, 1, 2, 5, 2, 3, 3, 1],
            ["A", "referring_desc", 2, 0, 2, 2, 0, 1, 2, 0],
        ],
    )
    assert section["csv"]["rejects"][1] == [["conflicting_labels", "A", 2], ["conflicting_labels", "B", 1]]
    assert section["csv"]["classes"][1] == [["A", "x", 3], ["A", "y", 1]]
    for header, lines in section["csv"].values():
        assert all(len(line) == len(header) for line in lines)


def test_no_data_no_pictures(tmp_path):
    section = data_section(style.Gallery(tmp_path), [], [], {})
    assert (section["proteins"], section["lengths"], section["leakage"]["pictures"]) == (None, [], [])
    assert not list(tmp_path.iterdir())


def test_classes_of_the_test_split_that_training_has(tmp_path):
    splits = [
        split("referring_class", "train", [3], {"x": 2, "y": 1}),
        split("referring_class", "valid", [3], {"z": 1}),
        split("referring_class", "test", [3], {"x": 1, "z": 4}),
    ]
    with style.drawing():
        section = data_section(style.Gallery(tmp_path), splits, [], {})
    assert section["known"] == {"A": (2, 2, 1)}
