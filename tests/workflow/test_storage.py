"""The whole DAG with a storage provider: jobs hand each other nothing but declared outputs."""

import json
import shutil
from pathlib import Path

import pytest
from workflow_copy import REPOSITORY, Workflow

TINY = {
    "datasets": {"VenusX_Act": {split: f"raw/{split}.json" for split in ("train", "valid", "test")}},
    "models": {
        "stand_in": {"decoder_epochs": 0, "vocab_size": 400, "encoder_layers": 2, "encoder_dim": 32}
        | {"encoder_heads": 2, "decoder_layers": 2, "decoder_dim": 64, "decoder_heads": 2}
    },
    "embeddings": {"shards": 2},
    "adapter": {"intermediate_dim": 64},
    "training": {"max_steps": 2, "checkpoint_steps": 2, "batch_size": 2, "report_to": [], "probe_records": 0},
    "evaluation": {"max_new_tokens": 8, "bootstrap_samples": 10, "baselines": ["majority"]}
    | {"calibration_records": 0, "place_draws": 0},
}


@pytest.mark.slow
def test_states_travel_through_the_storage(tmp_path: Path) -> None:
    folder, bucket = tmp_path / "machine", tmp_path / "bucket"
    folder.mkdir()
    (bucket / "raw").mkdir(parents=True)
    for split in ("train", "valid", "test"):
        proteins = json.loads((REPOSITORY / f"data/sample/VenusX_Act/{split}.json").read_text())
        short = sorted(proteins, key=lambda protein: len(protein["sequence"]))[:3]
        (bucket / f"raw/{split}.json").write_text(json.dumps(short))
    TINY["datasets"]["VenusX_Act"]["tasks"] = ["referring_class"]
    workflow = Workflow(folder, TINY)
    storage = ("--default-storage-provider", "fs", "--default-storage-prefix", str(bucket))

    said = workflow.snakemake(*storage, "embed").stderr
    assert said.count("Checkpoints stay where a training job runs") == 1
    shutil.rmtree(workflow.results / "store")  # a machine that readers do not see
    assert workflow.planned(*storage, "embed") == {}
    workflow.snakemake(*storage)
    assert "VenusX_Act" in (bucket / "results/report.html").read_text()
    assert json.loads((bucket / "results/metrics.json").read_text())["VenusX_Act"]
    assert (bucket / "results/training/model/adapter_model.safetensors").is_file()
    assert workflow.planned(*storage) == {}

    # A shard that the storage has lost is made again, and only that one.
    (bucket / "results/embeddings/shard-1-of-2.parquet").unlink()
    assert workflow.planned(*storage, "embed") == {"embed_shard": 1}
