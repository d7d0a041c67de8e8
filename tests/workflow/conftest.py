"""Two finished runs of the real workflow on a few real proteins, shared by the tests of this folder."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from git_host import REPOSITORY, URL, Host
from workflow_copy import Workflow, choose_proteins

from fragmodel.model.sources import make_encoder

if TYPE_CHECKING:
    from tiny_models import TinyModels

ROUTES = {  # data sets as people bring them, by the files; the first is named in the config, others lie beside it
    "Nested_Act": ["uniprot/json_nested_Act.json"],
    "Flat_all": ["uniprot/entries.dat"],
    "Scan_Dom": ["interproscan/results.json"],
    "Table_Dom": ["reported/22_scan_table_with_header.tsv", "reported/22_scan_table_with_header.fasta"],
}


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


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A git host of this repository."""
    return Host(tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="session")
def deployed(host: Host, tiny: "TinyModels", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three commands of a user, who names files and models and no other key: the folder of the run, at its end."""
    folder = tmp_path_factory.mktemp("user")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(host.folder / "installed")]
    host.run("pip", "install", "-q", *offline, f"git+{URL}@v0.1.0", cwd=folder)
    run = host.deploy(folder)
    datasets = {}
    for name, files in ROUTES.items():
        (run / name).mkdir()
        for file in files:
            shutil.copy(REPOSITORY / "tests/data/raw" / file, run / name)
        # One file for all three splits shows that it works, no more.
        datasets[name] = dict.fromkeys(("train", "valid", "test"), f"{name}/{Path(files[0]).name}")
    entries = run / "Flat_all/entries.dat"
    entries.write_text(entries.read_text().split("//\n")[1] + "//\n")  # one of them: a run of seconds
    models = {"encoder": str(tiny.encoder), "decoder": str(tiny.untied)}
    (run / "config/config.yaml").write_text(yaml.safe_dump({"datasets": datasets, "models": models}))
    host.run("snakemake", cwd=run)  # profiles/default came along
    return run
