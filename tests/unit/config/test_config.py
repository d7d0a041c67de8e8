"""The configuration: defaults, messages, and the files that are made from it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.config.run import config_schema, load_config, parse_config
from fragmodel.errors import UserError

REPOSITORY = Path(__file__).parents[3]
DATASETS = {"Mine_Dom": {"train": "a.json", "test": ["b.json", "c.json"]}}


def message(values: dict) -> str:
    with pytest.raises(UserError) as caught:
        parse_config(values)
    return str(caught.value)


def test_little_is_required():
    run = parse_config({"datasets": DATASETS})
    assert run.datasets["Mine_Dom"].train == ["a.json"]
    assert run.datasets["Mine_Dom"].tasks[0] == "referring_desc"
    assert (run.lora.rank, run.lora.alpha, run.lora.dropout) == (32, 64, 0.1)  # as documented


@pytest.mark.parametrize(
    "path", ["config.yaml", "config/smollm2.yaml", "config/alignment.yaml", "config/ablation.yaml"]
)
def test_shipped_configs_are_valid_and_their_files_there(path):
    run = load_config(REPOSITORY / path)
    files = [
        name for dataset in run.datasets.values() for name in dataset.train + dataset.valid + dataset.test
    ]
    assert files
    assert not [name for name in files if not (REPOSITORY / name).is_file()]


def test_the_collection_is_what_a_user_links():
    run = load_config(REPOSITORY / "config/collection.yaml")
    files = [name for data in run.datasets.values() for name in data.train + data.valid + data.test]
    assert len(files) == 15 and all(name.startswith("collection/VenusX_") for name in files)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lora": {"rnk": 8}}, "lora.rnk: unknown key; did you mean 'rank'?"),
        (
            {"models": {"stand_in": {"depth": 1}}},
            "models.stand_in.depth: unknown key; allowed: encoder_layers,",
        ),
        (
            {"datasets": {"A": {"train": "a", "test": "b", "taks": []}}},
            "datasets.A.taks: unknown key; did you mean 'tasks'?",
        ),
        ({"datasets": {"A": {"test": "b"}}}, "datasets.A.train: required key is missing"),
        (
            {"datasets": {"A": {"train": "a"}}},
            "datasets.A: test: required key is missing (or set split: by_cluster)",
        ),
        (
            {"datasets": {"A": {"train": "a", "test": "b", "split": "by_cluster"}}},
            "datasets.A: split: by_cluster deals the files of train; leave valid and test out",
        ),
        ({"datasets": {"a/b": {"train": "a", "test": "b"}}}, "data name 'a/b' may hold letters"),
        (
            {"training": {"decoder_bits": 8, "parallel": "fsdp"}},
            "training: decoder_bits: 8 cannot be sharded; take 4, or set parallel: ddp",
        ),
        (
            {"training": {"optimizer": "adamw_bnb_8bit", "parallel": "fsdp"}},
            "training: optimizer: bitsandbytes' cannot be sharded; leave it out, or set parallel: ddp",
        ),
        (
            {"training": {"precision": "half"}},
            "training.precision: must be 'float32', 'bfloat16' or 'float16'",
        ),
        ({"training": 5}, "training: must be keys with their values, as in {key: value} (is 5)"),
        ({"lora": {"dropout": 2}}, "lora.dropout: must be less than or equal to 1 (is 2)"),
    ],
)
def test_faults_name_key_and_remedy(change, expected):
    assert expected in message({"datasets": DATASETS} | change)


def test_all_faults_are_listed():
    text = message({"datasets": DATASETS, "sed": 1, "lora": {"rank": 0}})
    assert "sed: unknown key; did you mean 'seed'?" in text
    assert "lora.rank: must be greater than 0 (is 0)" in text


@pytest.mark.parametrize("content", ["- a\n", "a: [\n", ""])
def test_no_mapping_is_refused(tmp_path, content):
    (tmp_path / "run.yaml").write_text(content)
    with pytest.raises(UserError, match=r"run\.yaml: "):
        load_config(tmp_path / "run.yaml")


def test_schema_file_is_the_model_s():
    stored = json.loads((REPOSITORY / "fragmodel/config.schema.json").read_text())
    assert stored == config_schema(), "run: fragmodel config schema > fragmodel/config.schema.json"


def test_reference_page_is_the_model_s():
    printed = CliRunner().invoke(app, ["config", "reference"]).stdout
    stored = (REPOSITORY / "docs/configuration.md").read_text()
    assert stored == printed, "run: fragmodel config reference > docs/configuration.md"


def test_numbers_in_every_spelling_of_yaml(tmp_path):
    """`1e-4` is text in YAML 1.1, which Snakemake and PyYAML read."""
    (tmp_path / "run.yaml").write_text(
        "datasets: {Mine_Dom: {train: a.json, test: b.json, weight: 2e+0}}\n"
        "training: {learning_rate: 1e-4, weight_decay: 1, warmup_fraction: 1.E-2}\n"
    )
    run = load_config(tmp_path / "run.yaml")
    assert run.training.learning_rate == 1e-4
    assert (run.training.weight_decay, run.training.warmup_fraction) == (1.0, 0.01)
    assert run.datasets["Mine_Dom"].weight == 2.0


@pytest.mark.parametrize(
    ("results", "folder"), [("res/", "res"), ("./res", "res"), ("/a/../b//c", "/b/c"), (".", ".")]
)
def test_stores_follow_the_results_folder_in_one_spelling(results, folder):
    run = parse_config({"datasets": DATASETS, "results": results, "alignment": {"store": "shared/"}})
    assert (run.results, run.embeddings.store) == (folder, str(Path(folder, "store")))
    assert run.alignment.store == "shared"


@pytest.mark.parametrize("results", ["", " ", "a{b}", "{x"])
def test_a_results_folder_that_rules_cannot_have_is_one_fault(results):
    first, *others = message({"datasets": DATASETS, "results": results}).splitlines()[1:]
    assert first.startswith("  results: ") and not others


def test_values_of_the_command_line_arrive_as_texts():
    """`snakemake --config 'training={max_steps: 3}'` hands on nothing but texts."""
    texts = {
        "training": {"max_steps": "-1", "decoder_bits": "4", "gradient_checkpointing": "true", "epochs": "2"},
        "alignment": {"layer": "-1"},
        "evaluation": {"identity_thresholds": ["0.5", "1"]},
        "report": {"title": "12"},
    }
    run = parse_config({"datasets": DATASETS, "seed": "7", **texts})
    assert (run.seed, run.training.max_steps, run.training.decoder_bits, run.alignment.layer) == (
        7,
        -1,
        4,
        -1,
    )
    assert run.training.gradient_checkpointing is True and run.training.epochs == 2.0
    assert run.evaluation.identity_thresholds == [0.5, 1.0] and run.report.title == "12"
    assert "training.max_steps: must be a valid integer (is 'three')" in message(
        {"datasets": DATASETS, "training": {"max_steps": "three"}}
    )


@pytest.mark.parametrize(
    ("name", "dataset", "valid"),
    [
        ("Mine", {}, False),
        ("Mine_Act_Dom", {}, False),  # two families
        ("Mine", {"family": "domain"}, True),
        ("Mine", {"family": "fragment"}, True),
        ("VenusX_Res_Epi_MP70", {}, True),
        ("Mine", {"tasks": ["function"]}, True),
        ("Mine", {"tasks": ["function", "referring_desc"]}, False),
    ],
)
def test_a_run_knows_what_its_fragments_are(name, dataset, valid):
    values = {"datasets": {name: {"train": "a", "test": "b", **dataset}}}
    if valid:
        assert parse_config(values).datasets[name]
    else:
        assert f"neither the name '{name}' nor its key family tells" in message(values)
