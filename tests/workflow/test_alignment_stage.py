"""Stage 1 in the real DAG: it runs, training starts from it, and it is nowhere where it is off."""

import copy
import csv
import json
from pathlib import Path

import pytest
from safetensors import safe_open
from workflow_copy import REPOSITORY, Workflow

pytestmark = pytest.mark.slow
STAGE = {"embed_texts", "align_adapters", "score_alignment"}


def small_config(folder: Path) -> dict:
    """A few short real proteins of both kinds, and stand-ins with few steps."""
    proteins = json.loads((REPOSITORY / "data/sample/VenusX_Motif/train.json").read_text())
    proteins = sorted(proteins, key=lambda protein: len(protein["sequence"]))[:6]
    (folder / "motif.json").write_text(json.dumps(proteins))
    rows = list(csv.reader((REPOSITORY / "data/sample/Function/valid.csv").open()))
    with (folder / "function.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows(rows[:7])
    files = {"VenusX_Motif": ("motif.json", "referring_desc"), "Function": ("function.csv", "function")}
    return {
        "datasets": {
            name: {"train": file, "test": file, "tasks": [task]} for name, (file, task) in files.items()
        },
        "models": {"stand_in": {"decoder_epochs": 0, "vocab_size": 400}},
        "adapter": {"intermediate_dim": 64},
        "alignment": {"enabled": True, "max_steps": 3, "batch_size": 8, "checkpoint_steps": 2},
        "training": {"max_steps": 2, "batch_size": 2, "max_text_tokens": 32},
    }


@pytest.fixture(scope="module")
def aligned(tmp_path_factory) -> Workflow:
    """Everything up to the trained model."""
    folder = tmp_path_factory.mktemp("aligned")
    workflow = Workflow(folder, small_config(folder))
    workflow.snakemake("align", "train")
    return workflow


def changed(workflow: Workflow, *targets: str, **sections: dict) -> dict[str, int]:
    """What a dry run plans with other settings; they are put back."""
    config = copy.deepcopy(workflow.config)
    for name, values in sections.items():
        workflow.configure({**config, name: {**config.get(name, {}), **values}})
    planned = workflow.planned(*targets)
    workflow.configure(config)
    return planned


def test_training_starts_from_the_aligned_adapters(aligned):
    log = (aligned.results / "logs/training.log").read_text()
    assert "Initialised fragment_adapter, modality_adapter from results/alignment/model" in log
    with safe_open(aligned.results / "alignment/model/adapters.safetensors", "pt") as weights:
        assert {key.partition(".")[0] for key in weights.keys()} == {"modality_adapter", "fragment_adapter"}  # noqa: SIM118
    metrics = json.loads((aligned.results / "alignment/metrics.json").read_text())
    assert set(metrics["test"]) == {"protein", "fragment"}
    assert set(metrics["test"]["protein"]["systems"]) == {
        "aligned",
        "unaligned",
        "nearest_embedding",
        "random",
    }


def test_a_second_run_has_nothing_to_do(aligned):
    assert aligned.planned("align", "train") == {}


def test_its_settings_rerun_it_and_what_starts_from_it(aligned):
    planned = changed(aligned, alignment={"learning_rate": 1e-3})
    assert {"align_adapters", "score_alignment", "train_model", "generate", "report"} <= set(planned)
    assert not {"encoder", "decoder", "ingest", "windows", "embed_shard", "embed_texts"} & set(planned)
    again = changed(aligned, "align", "train", alignment={"learning_rate": 1e-3})
    assert again == {"align_adapters": 1, "score_alignment": 1, "train_model": 1}


def test_how_texts_are_read_reruns_the_texts_too(aligned):
    planned = changed(aligned, "align", "train", alignment={"layer": 0})
    assert planned == {"embed_texts": 1, "align_adapters": 1, "score_alignment": 1, "train_model": 1}


def test_training_settings_leave_it(aligned):
    assert changed(aligned, "align", "train", training={"learning_rate": 1e-3}) == {"train_model": 1}


def test_without_it_there_is_no_such_job(aligned):
    planned = changed(aligned, alignment={"enabled": False})
    assert planned["train_model"] == 1
    assert not STAGE & set(planned)
    assert changed(aligned, "align", alignment={"enabled": False}) == {}
