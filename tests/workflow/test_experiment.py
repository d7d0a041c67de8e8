"""Variants and seeds in one DAG: what they share is made once, and each stands for itself."""

import json
from pathlib import Path

import pytest
from workflow_copy import Workflow, choose_proteins

SHARED = {"ingest", "windows", "encoder", "decoder", "embed_shard", "audit_leakage", "baselines"}
OWN = {"train_model", "generate", "score", "report"}


def tiny_config(data: Path) -> dict:
    """A run of two steps on a few real proteins, and an experiment of two variants and two seeds with it."""
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
        "experiment": {"variants": {"plain": {}, "narrow": {"lora.rank": 2}}, "seeds": [1, 2]},
    }


def rules_of(jobs: dict[str, int]) -> dict[str, dict[str, int]]:
    """Jobs by the rule's own name: run → number of jobs."""
    found: dict[str, dict[str, int]] = {}
    for name, count in jobs.items():
        for rule in (*SHARED, *OWN):
            run, part, _ = name.partition(f"_{rule}")
            if part:
                found.setdefault(rule, {})[run] = found.get(rule, {}).get(run, 0) + count
    return found


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    folder = tmp_path_factory.mktemp("experiment")
    data = folder / "raw"
    data.mkdir()
    (data / "VenusX_Act.json").write_text(json.dumps(choose_proteins("VenusX_Act", 3)))
    workflow = Workflow(folder, tiny_config(data))
    workflow.snakemake()
    return workflow


def test_what_is_shared_is_made_once(experiment):
    pass
