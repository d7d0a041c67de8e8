"""The section on training."""

from fragmodel.report import style
from fragmodel.report.run_files import Log
from fragmodel.report.sections.training import training_section


def test_a_picture_for_each_quantity_that_was_logged(tmp_path):
    log = Log(
        train=[
            {"step": 5, "loss": 3.0, "learning_rate": 1e-4},
            {"step": 10, "loss": 1.25, "learning_rate": 5e-5},
        ],
        valid=[{"step": 10, "eval_loss": 1.5}],
        well_formed=[{"step": 10, "well_formed": 0.75}],
    )
    with style.drawing():
        section = training_section(style.Gallery(tmp_path), log)
    assert [picture.name for picture in section["more"]] == ["training-learning_rate"]
    assert {picture.name: picture.alt for key in ("pictures", "more") for picture in section[key]} == {
        "training-loss": "Loss: 3 at step 5, 1.25 at step 10. In validation 1.5 at step 10.",
        "training-learning_rate": "Learning rate: 0.0001 at step 5, 5e-05 at step 10.",
        "training-well_formed": "Well-formed answers: 0.75 at step 10, 0.75 at step 10.",
    }


def test_an_empty_log_has_none(tmp_path):
    assert training_section(style.Gallery(tmp_path), Log([], [], []))["pictures"] == []
    assert not list(tmp_path.iterdir())
