"""The whole pipeline through `--profile slurm` on a real Slurm: what went where, and with which request."""

import json
import re

import pytest
from code_edits import change_functions
from on_cluster import STEPS, OnCluster
from one_node import ACCOUNT

pytestmark = [pytest.mark.slow, pytest.mark.slurm]


def requested(job: dict[str, str]) -> dict[str, str]:
    return dict(item.split("=") for item in job["ReqTRES"].split(","))


@pytest.fixture(scope="module")
def jobs(finished) -> list[dict[str, str]]:
    return finished.submitted("Partition", "Account", "ReqTRES", "Timelimit", "JobIDRaw", "SubmitLine")


def test_the_pipeline_ends_with_metrics_and_report(finished):
    metrics = json.loads((finished.folder / "results/metrics.json").read_text())
    assert metrics["VenusX_Dom"]["referring_class"]["n"] > 0
    assert (finished.folder / "results/report.html").stat().st_size > 10_000


def test_each_job_is_submitted_once_and_small_ones_stay_local(jobs):
    rules = [
        "encoder",
        "decoder",
        "windows",
        "train_model",
        "answer_validation",
        "calibrate",
        "audit_leakage",
        "baselines",
        "score",
        "report",
    ]
    several = ["ingest_VenusX_Dom"] * 3 + ["embed_shard"] * 2 + ["generate"] * 2
    assert sorted(job["rule"] for job in jobs) == sorted(rules + several)
    assert {job["State"] for job in jobs} == {"COMPLETED"}


def test_jobs_with_gpus_go_to_the_gpu_partition(jobs):
    for job in jobs:
        gpus = {"train_model": "2", "embed_shard": "1"}.get(job["rule"])
        assert requested(job).get("gres/gpu") == gpus
        assert job["Partition"] == ("gpu" if gpus else "cpu")
        assert job["Account"] == ACCOUNT


def test_memory_and_time_are_those_of_the_rule(jobs):
    by_rule = {job["rule"]: job for job in jobs}
    assert by_rule["train_model"]["Timelimit"] == "1-00:00:00"
    assert by_rule["windows"]["Timelimit"] == "01:00:00"
    # 3500 MB and 2.5 times the decoder's 3 MB or so in each of two processes.
    assert 7000 < megabytes(requested(by_rule["train_model"])["mem"]) < 7100
    assert 1500 <= megabytes(requested(by_rule["windows"])["mem"]) < 1510


def test_training_is_warned_before_its_time_limit(jobs):
    (line,) = [job["SubmitLine"] for job in jobs if job["rule"] == "train_model"]
    assert "--signal=USR1@180" in line
    assert "--requeue" in line


def megabytes(text: str) -> float:
    value, unit = re.fullmatch(r"([\d.]+)([MG])", text).groups()
    return float(value) * {"M": 1, "G": 1024}[unit]


@pytest.mark.parametrize("rule", ["embed_shard", "generate"])
def test_shards_are_one_array(rule, jobs):
    shards = sorted(job["JobID"] for job in jobs if job["rule"] == rule)
    assert [re.sub(r"^\d+_", "", job) for job in shards] == ["1", "2"]
    assert len({job.partition("_")[0] for job in shards}) == 1


def test_training_ran_under_torchrun_with_a_process_for_each_gpu(finished):
    assert "torch.distributed.run --nproc-per-node=2" in finished.training_log
    assert finished.losses().keys() == set(range(1, STEPS + 1))


def newly_submitted(run: OnCluster, *arguments: str) -> list[str]:
    """Rules of the jobs that one more Snakemake submits, in the order of submission."""
    before = {job["JobID"] for job in run.submitted()}
    run.run(*arguments)
    return [job["rule"] for job in run.submitted() if job["JobID"] not in before]


def test_nothing_is_submitted_twice_and_a_forced_stage_only_with_what_needs_it(finished):
    """Here sacct tells the states, as on sites where Slurm forgets ended jobs too soon for squeue."""
    sacct = ("--slurm-status-command", "sacct", "--slurm-array-jobs", "")
    assert newly_submitted(finished) == []
    assert newly_submitted(finished, "--forcerun", "baselines", "--until", "score", *sacct) == [
        "baselines",
        "score",
    ]


def test_a_setting_a_module_and_a_data_set_submit_exactly_what_depends_on_them(finished, tmp_path):
    """Embedding and training are the costly stages: a new data set embeds its own windows, once."""
    run = finished.copy(tmp_path)
    evaluation = run.workflow.config["evaluation"] | {"bootstrap_samples": 10}
    run.workflow.configure(run.workflow.config | {"evaluation": evaluation})
    change_functions(run.folder / "fragmodel/evaluation/baselines/__init__.py")
    assert newly_submitted(run, "--until", "score") == ["baselines", "score"]
    datasets = {
        **run.workflow.config["datasets"],
        "VenusX_Act": run.workflow.config["datasets"]["VenusX_Dom"],
    }
    run.workflow.configure(run.workflow.config | {"datasets": datasets})
    assert newly_submitted(run, "--until", "windows") == ["ingest_VenusX_Act"] * 3 + ["windows"]


def test_doctor_finds_what_the_cluster_has(finished):
    said = " ".join(finished.doctor("config.yaml", status=0).split())  # the widths of columns vary
    assert "ok partition gpu 1 nodes, up to 16 cores and 4 GPUs each" in said
    assert f"ok account {ACCOUNT}" in said
    assert "missing  GPU" in finished.doctor("run.yaml", status=1), (
        "torch is built for CPUs, the run wants GPUs"
    )
