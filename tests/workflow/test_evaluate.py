"""Evaluation of a model that exists, and generation in shards."""

import copy
import json

import pyarrow.parquet as pq
import pytest

from fragmodel.prediction.merged_model import merge
from fragmodel.report.metric_tables import Cell

pytestmark = pytest.mark.slow


@pytest.fixture
def configured(finished):
    """The finished run; its config and what was made with it are put back afterwards."""
    config = copy.deepcopy(finished.config)
    yield finished
    finished.configure(config)
    finished.snakemake()


def test_shards_are_the_unit_of_restarting_and_change_no_answer(configured):
    config = copy.deepcopy(configured.config)
    config["evaluation"] |= {"shards": 2, "batch_size": 4}
    configured.configure(config)
    folder = configured.results / "predictions/VenusX_Dom"
    configured.snakemake(str(folder.relative_to(configured.folder) / "shard-0-of-2.parquet"))
    assert configured.planned()["generate"] == 3  # one of the four shards is there
    first = (folder / "shard-0-of-2.parquet").stat().st_mtime_ns
    configured.snakemake("evaluate")
    assert (folder / "shard-0-of-2.parquet").stat().st_mtime_ns == first
    shards = [pq.read_table(path) for path in sorted(folder.glob("shard-*-of-2.parquet"))]
    scored = pq.read_table(configured.results / "scores/records.parquet").to_pylist()
    asked = {
        (row["task_type"], row["record_id"]): row["text"]
        for row in scored
        if row["system"] == "model" and row["data_name"] == "VenusX_Dom"
    }
    given = [
        (row["task_type"], row["record_id"], row["text"]) for table in shards for row in table.to_pylist()
    ]
    assert len(given) == len(asked) == sum(table.num_rows for table in shards)
    assert all(asked[task, record] == text for task, record, text in given)


def test_a_merged_model_is_evaluated_without_training(configured):
    before = json.loads((configured.results / "metrics.json").read_text())
    merge(configured.results / "training/model", configured.folder / "merged")
    config = copy.deepcopy(configured.config) | {"results": "evaluated"}
    config["embeddings"] = {"store": "results/store"}
    config["evaluation"]["model"] = "merged"
    configured.configure(config)
    assert "train_model" not in configured.planned()
    configured.snakemake()
    after = json.loads((configured.folder / "evaluated/metrics.json").read_text())
    assert {name: set(tasks) for name, tasks in after.items()} == {
        name: set(tasks) for name, tasks in before.items()
    }
    then, now = (
        Cell.read(metrics["VenusX_Dom"]["referring_class"]["model"]["accuracy"]).value
        for metrics in (before, after)
    )
    assert now == pytest.approx(then, abs=0.15)
    page = (configured.folder / "evaluated/report.html").read_text()
    assert "<strong>merged</strong> was trained before this run" in page
