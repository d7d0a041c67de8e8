"""One cluster, and one run of the whole pipeline on it, shared by the tests of this folder."""

import json
import os
from collections.abc import Iterator

import pytest
from on_cluster import STEPS, OnCluster
from one_node import PROGRAMS, OneNodeSlurm
from system_tools import require_tool
from workflow_copy import REPOSITORY, Workflow


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNodeSlurm]:
    """A running one-node Slurm."""
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{path}:/usr/sbin:/sbin"  # where the daemons are, also for a plain user
    for program, package in PROGRAMS.items():
        require_tool(program, package)
    slurm = OneNodeSlurm(tmp_path_factory.mktemp("slurm"))
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        os.environ["PATH"] = path


@pytest.fixture(scope="session")
def finished(cluster: OneNodeSlurm, tmp_path_factory: pytest.TempPathFactory) -> OnCluster:
    """The whole DAG, run to the end through the profile without a disturbance."""
    folder = tmp_path_factory.mktemp("pipeline")
    proteins = json.loads((REPOSITORY / "data/sample/VenusX_Dom/train.json").read_text())
    raw = folder / "proteins.json"
    raw.write_text(json.dumps(sorted(proteins, key=lambda protein: len(protein["sequence"]))[:12]))
    config = {
        "datasets": {
            "VenusX_Dom": {
                **{split: str(raw) for split in ("train", "test")},
                "tasks": ["referring_class"],
            }
        },
        "models": {"stand_in": {"decoder_epochs": 0, "vocab_size": 400}},
        "embeddings": {"shards": 2, "gpus": 1},
        "adapter": {"intermediate_dim": 64},
        "lora": {"rank": 4},
        "training": {
            "gpus": 2,
            "max_steps": STEPS,
            "batch_size": 2,
            "log_steps": 1,
            "checkpoint_steps": 25,
            "max_text_tokens": 16,
            "probe_records": 0,
        },
        "evaluation": {"shards": 2, "max_new_tokens": 8, "bootstrap_samples": 0, "baselines": ["majority"]},
    }
    run = OnCluster(Workflow(folder, config), cluster)
    (folder / "config").symlink_to(
        REPOSITORY / "config"
    )  # the default config names files of the sample there
    run.run("--retries", "0")
    return run
