"""The section on what was run."""

from fragmodel.report.benchmarks import Stage
from fragmodel.report.sections.run import run_section


def test_settings_are_paths_and_texts():
    config = {
        "seed": 1,
        "training": {"slurm": {"nodes": 2}, "loop": "trainer"},
        "names": ["a", 2],
        "none": None,
    }
    assert run_section({"config": config})["settings"] == [
        ("seed", "1"),
        ("training.slurm.nodes", "2"),
        ("training.loop", "trainer"),
        ("names", "a, 2"),
        ("none", "None"),
    ]


def test_the_rest_stays_and_may_be_missing():
    found = run_section({"versions": {"torch": "2"}})
    assert found == {"versions": {"torch": "2"}, "settings": [], "stages": [], "csv": {}}


def test_stages_are_a_table():
    stages = [Stage("training", 1, 90.0, None)]
    assert run_section({}, stages)["csv"]["stages"][1] == [["training", 1, 90.0, None]]
