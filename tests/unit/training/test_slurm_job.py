"""A job of Slurm that takes over the folder of a training."""

import pytest

from fragmodel.errors import UserError
from fragmodel.training.slurm_job import claim


@pytest.mark.parametrize(("state", "cancelled"), [("RUNNING", True), ("FAILED", False), ("", False)])
def test_a_job_that_was_left_behind_ends_first(slurm, state, cancelled):
    (slurm / "state").write_text(state)
    (slurm / "slurm_job").write_text("1")
    claim(slurm, interval=0.01)
    assert (slurm / "cancelled").exists() == cancelled
    assert (slurm / "slurm_job").read_text() == "2"


def test_a_job_that_does_not_end_is_named(slurm):
    (slurm / "bin/scancel").write_text("#!/bin/sh\n")
    (slurm / "state").write_text("RUNNING")
    (slurm / "slurm_job").write_text("1")
    with pytest.raises(UserError, match="scancel 1"):
        claim(slurm, patience=0.05, interval=0.01)


def test_a_requeued_job_keeps_its_folder(slurm):
    (slurm / "state").write_text("RUNNING")
    (slurm / "slurm_job").write_text("2")
    claim(slurm, interval=0.01)
    assert not (slurm / "cancelled").exists()
