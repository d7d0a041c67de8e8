"""What can happen to a training job in a night: it ends with the losses of a run that nothing happened to."""

import signal

import pytest
import yaml
from on_cluster import STEPS

pytestmark = [pytest.mark.slow, pytest.mark.slurm]


def test_training_survives_a_night(finished, tmp_path):
    """A signal to end, the death of the node and preemption start the job again; a hard kill makes a new one."""
    night = finished.copy(tmp_path, "training")
    snakemake = night.start("train")
    job = night.wait_for_step(30)
    night.cluster.run("scancel", "--signal=TERM", job)
    assert night.wait_for_step(50, restarts=1) == job
    at = [night.resumed_at]
    night.cluster.fail_node()
    assert night.wait_for_step(70, restarts=2) == job
    at.append(night.resumed_at)
    night.cluster.preempt()
    assert night.wait_for_step(85, restarts=3) == job
    at.append(night.resumed_at)
    night.cluster.run("scancel", "--signal=KILL", job)
    night.finish(snakemake)
    at.append(night.resumed_at)
    assert [step % 25 for step in at[::2]] != [0, 0], (
        "the signals' own checkpoints, not the last planned ones"
    )
    assert at == sorted(at) and at[0] >= 30 and at[2] >= 70 and at[3] >= 75
    jobs = [job for job in night.submitted("JobIDRaw") if job["rule"] == "train_model"]
    states = [(each["JobIDRaw"] == job, each["State"].split()[0]) for each in jobs]
    assert states == [
        (True, "REQUEUED"),
        (True, "NODE_FAIL"),
        (True, "REQUEUED"),
        (True, "CANCELLED"),
        (False, "COMPLETED"),
    ]
    assert night.losses() == pytest.approx(finished.losses(), rel=1e-5)
    assert max(night.losses()) == STEPS


def test_a_killed_snakemake_is_started_again_and_goes_on(finished, tmp_path):
    """Meanwhile the job that it left behind comes to its time limit, and starts again without anybody's help."""
    run = finished.copy(tmp_path, "training")
    snakemake = run.start("train")
    orphan = run.wait_for_step(10)
    snakemake.send_signal(signal.SIGKILL)
    snakemake.wait()
    run.run("--unlock")
    run.cluster.run("scancel", "--signal=USR1", orphan)  # what --signal=USR1@180 of the profile does
    assert run.wait_for_step(20, restarts=1) == orphan
    # It must not reach its end while the new Snakemake starts; what ends it, wakes it: Slurm sends SIGCONT first.
    run.cluster.run("scancel", "--signal=STOP", orphan)
    run.run("train")
    states = [job["State"].split()[0] for job in run.submitted() if job["rule"] == "train_model"]
    assert states == ["REQUEUED", "CANCELLED", "COMPLETED"], "an orphan that is cancelled stays so"
    assert f"Slurm job {orphan} still trains" in run.training_log
    assert run.resumed_at >= 20
    assert run.losses() == pytest.approx(finished.losses(), rel=1e-5)


def test_slurm_itself_warns_training_of_its_time_limit(finished, tmp_path):
    """The limit is moved near; Slurm looks every half minute, and sends what the profile asks for."""
    run = finished.copy(tmp_path, "training")
    config = yaml.safe_load((run.folder / "run.yaml").read_text())
    config["training"] |= {"max_steps": 5000, "checkpoint_steps": 5000}
    (run.folder / "run.yaml").write_text(yaml.safe_dump(config))
    snakemake = run.start("train")
    job = run.wait_for_step(5)
    run.cluster.run(
        "scontrol", "update", f"JobId={job}", "TimeLimit=4"
    )  # three minutes before is now or soon
    run.wait("checkpoint and restart", lambda: run.cluster.restarts(job) == 1 and run.resumed_at > 0)
    snakemake.send_signal(signal.SIGINT)
    snakemake.wait(120)
    assert run.resumed_at >= 5
    states = [each["State"].split()[0] for each in run.submitted() if each["rule"] == "train_model"]
    assert states == ["REQUEUED", "CANCELLED"]
