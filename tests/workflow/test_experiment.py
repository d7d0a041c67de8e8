"""Variants and seeds in one DAG: what they share is made once, and each stands for itself."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from workflow_copy import REPOSITORY, Workflow, choose_proteins

SHARED = {"ingest", "windows", "encoder", "decoder", "embed_shard", "audit_leakage", "baselines"}
OWN = {"train_model", "generate", "score", "report"}
STEPS = 6


def tiny_config(data: Path) -> dict:
    """A run of a few steps on a few real proteins; nothing is made that no test looks at."""
    files = {split: str(data / "VenusX_Act.json") for split in ("train", "valid", "test")}
    return {
        "datasets": {"VenusX_Act": files | {"tasks": ["referring_class"]}},
        "models": {
            "stand_in": {
                "encoder_layers": 1,
                "encoder_dim": 16,
                "encoder_heads": 2,
                "decoder_layers": 1,
                "decoder_dim": 32,
                "decoder_heads": 2,
                "decoder_epochs": 0,
                "vocab_size": 300,
            }
        },
        "adapter": {"intermediate_dim": 16, "num_perceiver_heads": 2, "num_perceiver_layers": 1},
        "training": {
            "max_steps": STEPS,
            "batch_size": 2,
            "log_steps": 1,
            "checkpoint_steps": 1,
            "report_to": [],
            "probe_records": 0,
        },
        "evaluation": {
            "max_new_tokens": 8,
            "bootstrap_samples": 20,
            "baselines": ["majority"],
            "calibration_records": 0,
        },
        "experiment": {"seeds": [1]},
    }


def by_rule(jobs: dict[str, int]) -> dict[str, dict[str, int]]:
    """Jobs by the rule's own name: the run that it is called after → number of jobs."""
    found: dict[str, dict[str, int]] = {}
    for name, count in jobs.items():
        run, rule = re.fullmatch(r"(?:(\w+?_\d+)_)?(.+)", name).groups()
        own = found.setdefault("ingest" if rule.startswith("ingest_") else rule, {})
        own[run or ""] = own.get(run or "", 0) + count
    return found


def with_variants(workflow: Workflow, seeds: tuple[int, ...] = (1,), **variants: dict) -> None:
    """Configure the workflow with these variants, in this order, and none else."""
    experiment = {"variants": variants, "seeds": list(seeds)}
    workflow.configure(workflow.config | {"experiment": experiment})


def kill_training(snakemake: subprocess.Popen, results: Path) -> None:
    """Kill the program that trains below ``results``, as a node's failure would, after its first checkpoint."""
    while not list(results.glob("training/checkpoints/*/checkpoint-*/trainer_state.json")):
        assert snakemake.poll() is None, snakemake.communicate()
        time.sleep(0.01)
    (program,) = (
        process
        for process in psutil.Process(snakemake.pid).children(recursive=True)
        if "fragmodel.training.program" in process.cmdline()
    )
    program.kill()


def entries(results: Path) -> tuple[list[dict], dict]:
    """The training log, without what depends on the machine, and what the training took."""
    *steps, spent = map(json.loads, (results / "training/log.jsonl").read_text().splitlines())
    return [
        {key: value for key, value in entry.items() if key != "tokens_per_second"} for entry in steps
    ], spent


@pytest.fixture(scope="module")
def experiment(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Workflow, dict, subprocess.CompletedProcess]:
    """An experiment of which one variant fails: the workflow, the jobs that were planned, and what Snakemake said."""
    folder = tmp_path_factory.mktemp("experiment")
    data = folder / "raw"
    data.mkdir()
    (data / "VenusX_Act.json").write_text(json.dumps(choose_proteins("VenusX_Act", 3)))
    (folder / "no_weights").mkdir()
    (folder / "no_weights" / "config.json").write_text('{"model_type": "llama"}')
    workflow = Workflow(folder, tiny_config(data))
    with_variants(workflow, plain={}, broken={"models.decoder": "no_weights"}, narrow={"lora.rank": 2})
    planned = by_rule(workflow.planned())
    return workflow, planned, workflow.snakemake("--keep-going", check=False)


def test_what_runs_share_is_planned_once_and_the_rest_for_each(experiment):
    _, planned, _ = experiment
    for rule in SHARED - {"decoder", "ingest"}:
        assert sum(planned[rule].values()) == 1, rule
    assert sum(planned["ingest"].values()) == 3  # splits
    assert len(planned["decoder"]) == 2  # of the two that differ in it
    runs = {"plain_1", "broken_1", "narrow_1"}
    for rule in OWN:
        assert planned[rule] == dict.fromkeys(runs, 1), rule
    assert planned["compare_variants"] == {"": 1}


def test_a_variant_that_fails_leaves_the_others_alone(experiment):
    workflow, _, result = experiment
    assert result.returncode != 0
    made = {
        path.parent.relative_to(workflow.results).as_posix()
        for path in workflow.results.glob("*/*/report.html")
    }
    assert made == {"plain/seed-1", "narrow/seed-1"}
    with_variants(workflow, plain={}, narrow={"lora.rank": 2})
    assert by_rule(workflow.planned()) == {"compare_variants": {"": 1}}
    workflow.snakemake()
    assert "narrow beside plain" in (workflow.results / "comparison.html").read_text(encoding="utf-8")


def test_a_variant_that_is_added_or_comes_first_plans_its_own_jobs_alone(experiment):
    workflow, _, _ = experiment
    with_variants(workflow, fast={"training": {"learning_rate": 1e-2}}, narrow={"lora.rank": 2}, plain={})
    planned = by_rule(workflow.planned())
    assert set(planned) == OWN | {"compare_variants"}
    assert all(set(planned[rule]) == {"fast_1"} for rule in OWN)


def test_a_rule_is_forced_in_the_runs_that_are_named(experiment):
    workflow, _, _ = experiment
    with_variants(workflow, plain={}, narrow={"lora.rank": 2})
    both = [f"{variant}_1_train_model" for variant in ("plain", "narrow")]
    planned = by_rule(workflow.planned("--forcerun", *both))
    assert all(planned[rule] == {"plain_1": 1, "narrow_1": 1} for rule in OWN)
    assert by_rule(workflow.planned("--forcerun", both[1], "--until", both[1])) == {
        "train_model": {"narrow_1": 1}
    }


def test_a_seed_that_is_added_trains_anew_and_one_that_was_killed_equals_one_that_was_not(experiment):
    """The same settings twice, under two names: one of them is killed after its first checkpoint."""
    workflow, _, _ = experiment
    with_variants(workflow, (1, 2), plain={}, again={})
    assert set(by_rule(workflow.planned())["train_model"]) == {"plain_2", "again_1", "again_2"}
    runs = {name: workflow.results / name / "seed-2" for name in ("plain", "again")}
    targets = [str((folder / "metrics.json").relative_to(workflow.folder)) for folder in runs.values()]
    with workflow.start("--", targets[1]) as running:
        kill_training(running, runs["again"])
        running.communicate()
    assert running.returncode != 0 and not (runs["again"] / "training/model").exists()
    workflow.snakemake("--", *targets)
    assert "Resuming from step" in (runs["again"] / "logs/training.log").read_text()
    (again, spent), (whole, spent_at_once) = entries(runs["again"]), entries(runs["plain"])
    assert again == whole and len([entry for entry in whole if "loss" in entry]) == STEPS
    assert (spent["jobs"], spent_at_once["jobs"]) == (2, 1)
    for file in ("training/model/adapter_model.safetensors", "metrics.json"):
        assert (runs["again"] / file).read_bytes() == (runs["plain"] / file).read_bytes(), file
    other_seed, _ = entries(workflow.results / "plain/seed-1")
    assert other_seed[0]["loss"] != whole[0]["loss"]


def test_forced_training_of_a_run_trains_anew_beside_what_finished(experiment):
    workflow, _, _ = experiment
    checkpoints = workflow.results / "plain/seed-1/training/checkpoints"
    (before,) = checkpoints.iterdir()
    with_variants(workflow, plain={}, narrow={"lora.rank": 2})
    workflow.snakemake("--forcerun", "plain_1_train_model", "--until", "plain_1_train_model")
    assert {path.name for path in checkpoints.iterdir()} == {before.name, f"{before.name}-2"}


def test_the_shipped_experiment_compares_runs_that_differ_in_their_questions_alone(tmp_path):
    command = f"-m snakemake -n --configfile config/ablation.yaml --config results={tmp_path}/out"
    result = subprocess.run(
        [sys.executable, *command.split()], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    stats = result.stdout.split("Job stats:")[1]
    for rule, jobs in {"decoder": 1, "evidence": 1, "train_model": 6}.items():
        assert len(re.findall(rf"^\w+_\d_{rule} ", stats, flags=re.MULTILINE)) == jobs, rule
