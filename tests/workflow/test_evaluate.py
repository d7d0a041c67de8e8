"""Evaluation of a model that exists, and generation in shards."""

import copy
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fragmodel.prediction.merged_model import merge
from fragmodel.report.metric_tables import Cell

pytestmark = pytest.mark.slow


@pytest.fixture
def configured(finished, tmp_path):
    """A copy of the finished run, for another config."""
    return finished.twin(tmp_path)


def test_shards_are_the_unit_of_restarting_and_change_no_answer(configured):
    config = copy.deepcopy(configured.config)
    config["evaluation"] |= {"shards": 2, "batch_size": 4}
    configured.configure(config)
    folder = configured.results / "predictions/VenusX_Dom"
    shards = [folder / f"shard-{number}-of-2.parquet" for number in range(2)]
    configured.snakemake(str(shards[0].relative_to(configured.folder)))
    assert configured.planned()["generate"] == 3  # one of the four shards is there
    first = shards[0].stat().st_mtime_ns
    configured.snakemake(*(str(shard.relative_to(configured.folder)) for shard in shards))
    assert shards[0].stat().st_mtime_ns == first
    given = [row for shard in shards for row in answers(shard)]
    assert sorted(given) == sorted(answers(folder / "shard-0-of-1.parquet"))


def answers(path: Path) -> list[tuple[str, str, str]]:
    rows = pq.read_table(path, columns=["task_type", "record_id", "text"]).to_pylist()
    return [(row["task_type"], row["record_id"], row["text"]) for row in rows]


def test_a_merged_model_is_evaluated_without_training(configured):
    before = json.loads((configured.results / "metrics.json").read_text())
    merge(configured.results / "training/model", configured.folder / "merged")
    config = copy.deepcopy(configured.config) | {"results": "evaluated"}
    config["embeddings"] = {"store": "results/store"}
    config["evaluation"] |= {"model": "merged", "baselines": ["majority"]}
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
