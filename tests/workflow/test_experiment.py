"""Variants and seeds in one DAG: what they share is made once, and each stands for itself."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_copy import REPOSITORY, Workflow, choose_proteins

SHARED = {"ingest", "windows", "encoder", "decoder", "embed_shard", "audit_leakage", "baselines"}
OWN = {"train_model", "generate", "answer_validation", "calibrate", "score", "report"}


def tiny_config(data: Path) -> dict:
    """A run of two steps on a few real proteins, with two seeds."""
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
        "training": {"max_steps": 2, "batch_size": 2, "log_steps": 1, "checkpoint_steps": 1},
        "evaluation": {"max_new_tokens": 8, "bootstrap_samples": 20, "baselines": ["majority"]},
        "experiment": {"seeds": [1, 2]},
    }


def by_rule(jobs: dict[str, int]) -> dict[str, dict[str, int]]:
    """Jobs by the rule's own name: the run that it is called after → number of jobs."""
    found: dict[str, dict[str, int]] = {}
    for name, count in jobs.items():
        run, rule = re.fullmatch(r"(?:(\w+?_\d+)_)?(.+)", name).groups()
        own = found.setdefault("ingest" if rule.startswith("ingest_") else rule, {})
        own[run or ""] = own.get(run or "", 0) + count
    return found


def with_variants(workflow: Workflow, **variants: dict) -> None:
    """Configure the workflow with these variants, in this order, and none else."""
    experiment = workflow.config["experiment"] | {"variants": variants}
    workflow.configure(workflow.config | {"experiment": experiment})


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
    runs = {f"{variant}_{seed}" for variant in ("plain", "broken", "narrow") for seed in (1, 2)}
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
    assert made == {f"{variant}/seed-{seed}" for variant in ("plain", "narrow") for seed in (1, 2)}
    with_variants(workflow, plain={}, narrow={"lora.rank": 2})
    assert by_rule(workflow.planned()) == {"compare_variants": {"": 1}}
    workflow.snakemake()
    assert "narrow beside plain" in (workflow.results / "comparison.html").read_text(encoding="utf-8")


def test_a_variant_that_is_added_or_comes_first_plans_its_own_jobs_alone(experiment):
    workflow, _, _ = experiment
    with_variants(workflow, fast={"training": {"learning_rate": 1e-2}}, narrow={"lora.rank": 2}, plain={})
    planned = by_rule(workflow.planned())
    assert set(planned) == OWN | {"compare_variants"}
    assert all(set(planned[rule]) == {"fast_1", "fast_2"} for rule in OWN)


def test_seeds_change_training_and_share_the_data(experiment):
    workflow, _, _ = experiment
    logs = [(workflow.results / f"plain/seed-{seed}/training/log.jsonl").read_text() for seed in (1, 2)]
    assert logs[0] != logs[1]
    assert len(list(workflow.results.glob("shared/data-*"))) == 1


def test_the_shipped_experiment_compares_runs_that_differ_in_their_questions_alone(tmp_path):
    command = f"-m snakemake -n --configfile config/ablation.yaml --config results={tmp_path}/out"
    result = subprocess.run(
        [sys.executable, *command.split()], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    stats = result.stdout.split("Job stats:")[1]
    for rule, jobs in {"decoder": 1, "evidence": 1, "train_model": 6}.items():
        assert len(re.findall(rf"^\w+_\d_{rule} ", stats, flags=re.MULTILINE)) == jobs, rule
