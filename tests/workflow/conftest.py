"""One finished run of the real workflow on a few real proteins, shared by the tests of this folder."""

import json
from pathlib import Path

import pytest
from workflow_copy import Workflow, choose_proteins

from fragmodel.model.sources import make_encoder


def small_config(data: Path) -> dict:
    """Two data sets of small real proteins, tiny stand-ins, enough steps to learn the training records."""
    names = {"VenusX_Dom": ["referring_class", "grounding_single"], "VenusX_Act": ["referring_class"]}
    files = {"VenusX_Dom": "VenusX_Dom.json", "VenusX_Act": "VenusX_Act"}  # a file, and a folder
    return {
        "datasets": {
            name: {split: str(data / files[name]) for split in ("train", "valid", "test")} | {"tasks": tasks}
            for name, tasks in names.items()
        },
        "evidence": {"enabled": True, "pointers": True},
        "models": {
            "encoder": str(data / "encoder"),
            "stand_in": {"decoder_epochs": 0, "decoder_dim": 192, "decoder_heads": 6, "vocab_size": 600},
        },
        "adapter": {"intermediate_dim": 256},
        "lora": {"dropout": 0.0},
        "training": {
            "select": "last",  # what has learnt the training records by heart, whatever validation says
            "max_steps": 120,
            "learning_rate": 2e-3,
            "batch_size": 8,
            "log_steps": 10,
            "checkpoint_steps": 60,
            "max_text_tokens": 64,
        },
        "evaluation": {"max_new_tokens": 48, "bootstrap_samples": 50},
    }


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The whole DAG, run to the end."""
    folder = tmp_path_factory.mktemp("workflow")
    data = folder / "raw"
    data.mkdir()
    (data / "VenusX_Dom.json").write_text(json.dumps(choose_proteins("VenusX_Dom", 4)))
    (data / "VenusX_Act").mkdir()
    for split in ("train", "valid", "test"):
        (data / "VenusX_Act" / f"{split}.json").write_text(json.dumps(choose_proteins("VenusX_Act", 3)))
    make_encoder("stand-in", data / "encoder", layers=4, dim=64, heads=4, seed=1)
    workflow = Workflow(folder, small_config(data))
    workflow.snakemake()
    return workflow
