"""What can happen to a training job in a night: it ends with the losses of a run that nothing happened to."""

import signal

import pytest
from on_cluster import STEPS

pytestmark = [pytest.mark.slow, pytest.mark.slurm]


def test_training_survives_termination_a_hard_kill_and_a_requeue(finished, tmp_path):
    night = finished.copy(tmp_path, "training")
    snakemake = night.start("train")
    first = night.wait_for_step(30)
    night.cluster.run("scancel", "--signal=TERM", first)
    second = night.wait_for_step(60, other_than=first)
    resumed = int(night.training_log.split("Resuming from step ")[1].split()[0])
    assert resumed >= 30 and resumed % 25, "the signal's own checkpoint, not the last planned one"
    night.cluster.run("scancel", "--signal=KILL", second)
    third = night.wait_for_step(85, other_than=second)
    assert "Resuming from step" in night.training_log
    night.cluster.run("scontrol", "requeue", third)
    night.finish(snakemake)
    assert "Resuming from step" in night.training_log
    jobs = [job for job in night.submitted("JobIDRaw") if job["rule"] == "train_model"]
    states = [(job["JobIDRaw"], job["State"].split()[0]) for job in jobs]
    assert states == [(first, "FAILED"), (second, "CANCELLED"), (third, "REQUEUED"), (third, "COMPLETED")]
    assert night.losses() == pytest.approx(finished.losses(), rel=1e-5)
    assert max(night.losses()) == STEPS


def test_a_killed_snakemake_is_started_again_and_goes_on(finished, tmp_path):
    run = finished.copy(tmp_path, "training")
    snakemake = run.start("train")
    orphan = run.wait_for_step(30)
    snakemake.send_signal(signal.SIGKILL)
    snakemake.wait()
    assert run.training_job() == orphan, "Slurm knows nothing of the kill"
    run.run("--unlock")
    run.run("train")
    states = {job["JobID"]: job["State"].split()[0] for job in run.submitted()[-2:]}
    assert states.pop(orphan) == "CANCELLED"
    assert list(states.values()) == ["COMPLETED"]
    assert f"Slurm job {orphan} still trains" in run.training_log
    assert "Resuming from step" in run.training_log
    assert run.losses() == pytest.approx(finished.losses(), rel=1e-5)
