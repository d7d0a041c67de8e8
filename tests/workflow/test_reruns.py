"""A change reruns exactly the stages that it concerns."""

import copy
import json

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def restored(finished):
    """The finished run; config and code are put back afterwards."""
    sources = {path: path.read_bytes() for path in (finished.folder / "fragmodel").rglob("*.py")}
    config = copy.deepcopy(finished.config)
    yield finished
    for path, content in sources.items():
        if path.read_bytes() != content:
            path.write_bytes(content)
    finished.configure(config)


def edit(workflow, module: str) -> None:
    path = workflow.folder / "fragmodel" / module
    path.write_text(path.read_text() + "\n# edited\n")


def test_a_second_run_has_nothing_to_do(restored):
    assert restored.planned() == {}
    assert "Nothing to be done" in restored.snakemake().stderr


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("evaluation/grounding.py", {"score": 2, "metrics": 1, "report": 1}),
        ("evaluation/baselines/priors.py", {"baselines": 2, "score": 2, "metrics": 1, "report": 1}),
        ("report/page.py", {"report": 1}),
        (
            "training/trainer.py",
            {"train_model": 1, "generate": 2, "score": 2, "metrics": 1, "report": 1},
        ),
        (
            "embeddings/extract.py",
            {
                "windows": 1,
                "embed_shard": 1,
                "train_model": 1,
                "generate": 2,
                "baselines": 2,
                "score": 2,
                "metrics": 1,
                "report": 1,
            },
        ),
    ],
)
def test_editing_code_reruns_its_stage(restored, module, expected):
    edit(restored, module)
    assert restored.planned() == expected


def test_a_metrics_setting_reruns_scoring_only(restored):
    config = copy.deepcopy(restored.config)
    config["evaluation"]["bootstrap_samples"] = 60
    restored.configure(config)
    assert restored.planned() == {"score": 2, "metrics": 1, "report": 1}


def test_a_training_setting_leaves_data_and_embeddings(restored):
    config = copy.deepcopy(restored.config)
    config["training"]["learning_rate"] = 1e-3
    restored.configure(config)
    assert restored.planned() == {"train_model": 1, "generate": 2, "score": 2, "metrics": 1, "report": 1}


@pytest.mark.parametrize("target", ["ingest", "embed", "train", "evaluate", "report"])
def test_each_stage_is_a_target(restored, target):
    assert restored.planned(target) == {}
    assert restored.planned(target, "--forcerun", "encoder" if target != "ingest" else "ingest_task")


def test_adding_a_data_set_embeds_only_its_windows(restored):
    config = copy.deepcopy(restored.config)
    raw = restored.folder / "raw"
    known = json.loads((raw / "VenusX_Dom.json").read_text())
    fresh = copy.deepcopy(known[:2])
    fresh[1]["uid"] = "NEW001"
    fresh[1]["sequence"] = "MK" + fresh[1]["sequence"]
    for fragment in fresh[1]["fragments"]:
        for place in fragment["frags"]:
            place["start_position"] += 2
            place["end_position"] += 2
    (raw / "added.json").write_text(json.dumps(fresh))
    path = str(raw / "added.json")
    config["datasets"]["Added_Dom"] = {"train": path, "test": path, "tasks": ["referring_class"]}
    restored.configure(config)
    planned = restored.planned("embed")
    assert planned == {"ingest_task": 3, "windows": 1, "embed_shard": 1}
    before = {path: path.stat().st_mtime_ns for path in (restored.results / "store").rglob("*.safetensors")}
    restored.snakemake("embed")
    after = {path: path.stat().st_mtime_ns for path in (restored.results / "store").rglob("*.safetensors")}
    assert before.items() <= after.items(), "what was embedded is left alone"
    known_shards = {path.stem for path in before}
    new_rows = sum(
        pq.read_metadata(index).num_rows
        for index in (restored.results / "store").rglob("*.parquet")
        if index.name.partition(".")[0] not in known_shards
    )
    assert new_rows == 1, "one window of the added data set is new"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora": {"rnk": 8}}, "lora.rnk: unknown key; did you mean 'rank'?"),
        ({"evaluation": {"split": "dev"}}, "evaluation.split: must be 'valid' or 'test' (is 'dev')"),
        ({"training": {"batch_size": 0}}, "training.batch_size: must be greater than 0 (is 0)"),
        ({"datasets": {}}, "datasets: name at least one data set"),
    ],
)
def test_a_bad_config_names_key_and_remedy(restored, change, message):
    restored.configure(copy.deepcopy(restored.config) | change)
    result = restored.snakemake("-n", check=False)
    assert result.returncode
    output = result.stdout + result.stderr  # a dry run logs to standard output
    assert message in output
    assert "Traceback" not in output
