"""From an experiment's file to the configs of its runs, and the folders in which runs share stages."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fragmodel.config.stages import STAGES, place_of, shared_folders
from fragmodel.config.variants import changed, expand, load_runs
from fragmodel.errors import UserError

SHARED = {name for name, stage in STAGES.items() if stage.paths}
RUN = {"datasets": {"Mine_Dom": {"train": "a.json", "test": "b.json"}}, "results": "out"}


def runs_of(experiment: dict[str, Any], **run: Any) -> dict[str, Any]:
    return {each.name: each.config for each in expand(RUN | run | {"experiment": experiment}).runs}


def test_every_variant_runs_with_every_seed():
    runs = runs_of(
        {"variants": {"plain": None, "narrow": {"lora.rank": 8}}, "seeds": [1, 7]}, lora={"alpha": 16}
    )
    assert list(runs) == ["plain_1", "plain_7", "narrow_1", "narrow_7"]
    assert [run.lora.rank for run in runs.values()] == [32, 32, 8, 8]
    assert {run.lora.alpha for run in runs.values()} == {16}
    assert [run.training.seed for run in runs.values()] == [1, 7, 1, 7]
    assert {run.seed for run in runs.values()} == {1}  # the data stay
    assert runs["narrow_7"].results == "out/narrow/seed-7"
    assert {run.embeddings.store for run in runs.values()} == {"out/shared/store"}


def test_a_grid_multiplies_variants():
    runs = runs_of(
        {"variants": {"a": {"training": {"epochs": 1.0}}}, "grid": {"lora.rank": [4, 8], "seed": [2, 3]}}
    )
    assert list(runs) == [f"a_rank_{rank}_seed_{seed}_1" for rank in (4, 8) for seed in (2, 3)]
    assert runs["a_rank_8_seed_3_1"].lora.rank == 8 and runs["a_rank_8_seed_3_1"].seed == 3
    assert list(runs_of({"grid": {"training.learning_rate": [1e-4]}})) == ["learning_rate_0_0001_1"]


def test_changes_join_sections_and_null_takes_keys_away():
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": 4}
    found = changed(base, {"a": {"c.d": 3}, "a.b": None, "e": [2, 3], "g.h": {"i": 5}, "f": {"j": 6}})
    assert found == {"a": {"c": {"d": 3}}, "e": [2, 3], "g": {"h": {"i": 5}}, "f": {"j": 6}}
    assert base == {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": 4}


def test_a_base_file_is_changed_by_the_experiments_own_keys(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(RUN | {"lora": {"rank": 4, "alpha": 8}}))
    experiment = {
        "experiment": {"base": str(tmp_path / "base.yaml"), "seeds": [5]},
        "lora": {"rank": 2},
        "results": "o",
    }
    (tmp_path / "experiment.yaml").write_text(
        yaml.safe_dump(experiment | {"experiment": experiment["experiment"] | {"variants": {"plain": {}}}})
    )
    (run,) = load_runs(tmp_path / "experiment.yaml")
    assert (run.config.lora.rank, run.config.lora.alpha, run.config.results) == (2, 8, "o/plain/seed-5")
    (alone,) = load_runs(tmp_path / "base.yaml")
    assert (alone.config.results, alone.config.shared) == ("out", None)


@pytest.mark.parametrize(
    ("experiment", "told"),
    [
        ({"variants": {"a": {"lora.rnk": 1}}}, "variant 'a' is not valid:\n  lora.rnk: unknown key"),
        ({"variants": {"a b": {}}}, "'a b' cannot name a variant"),
        ({"variants": {"shared": {}}}, "'shared' cannot name a variant"),
        ({"variants": {"a": {}}, "seeds": [1, 1]}, "experiment.seeds: 1 stands there twice"),
        ({"variants": {"a": {}}, "reference": "b"}, "experiment.reference: no variant 'b'; there are: a"),
        ({"variants": {"a": {}}, "seed": 1}, "experiment.seed: unknown key; did you mean 'seeds'?"),
        ({"variants": {"a": {}}, "grid": {"lora.rank": [1, "1"]}}, "two variants are called 'a_rank_1'"),
        ({"variants": {"a": {}}, "base": "absent.yaml"}, "absent.yaml: no such file"),
        ({}, "'' cannot name a variant"),
    ],
)
def test_mistakes_are_told(experiment, told):
    with pytest.raises(UserError) as caught:
        runs_of(experiment)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ({"lora.rank": 2}, set()),
        ({"datasets.Mine_Dom.weight": 2.0}, set()),
        ({"training.max_steps": 2}, set()),
        ({"adapter.intermediate_dim": 8}, {"alignment"}),
        ({"evaluation.baselines": ["majority"]}, {"baselines"}),
        ({"evaluation.identity_thresholds": [0.5]}, {"audit"}),
        ({"models.stand_in.encoder_layers": 2}, {"encoder", "embeddings", "baselines", "alignment"}),
        ({"evidence.max_lines": 9, "models.decoder": "x"}, {"evidence", "decoder", "texts", "alignment"}),
        ({"evidence.enabled": True}, {"decoder", "texts", "alignment"}),
        ({"evidence.pointers": True}, {"evidence", "decoder", "texts", "alignment"}),
        ({"models.stand_in.text": "both"}, {"decoder", "texts", "alignment"}),
        ({"ingest.max_sequence_length": 99}, SHARED - {"encoder"}),
        ({"seed": 2}, SHARED),
    ],
)  # fmt: skip
def test_a_stage_is_shared_where_nothing_that_it_reads_differs(change, differing):
    plain, other = (
        shared_folders(run) for run in runs_of({"variants": {"plain": {}, "other": change}}).values()
    )
    assert {stage for stage in SHARED if plain[stage] != other[stage]} == differing


def test_a_decoder_that_is_no_stand_in_is_shared_whatever_is_asked():
    variants = {"plain": {}, "other": {"evidence.enabled": True, "ingest.max_sequence_length": 99}}
    plain, other = map(shared_folders, runs_of({"variants": variants}, models={"decoder": "x"}).values())
    assert plain["decoder"] == other["decoder"]


def test_a_stand_in_that_learns_both_kinds_of_questions_is_shared_with_and_without_evidence():
    variants = {"plain": {}, "other": {"evidence.enabled": True}}
    runs = runs_of({"variants": variants}, models={"stand_in": {"text": "both"}})
    plain, other = map(shared_folders, runs.values())
    assert plain == other


def test_a_file_lies_with_its_stage():
    (run,) = runs_of({"variants": {"plain": {}}}).values()
    folders = shared_folders(run)
    for path, stage in {
        "data/Mine_Dom/referring_class/train.parquet": "data",
        "windows.parquet": "data",
        "logs/ingest/Mine_Dom/train.log": "data",
        "benchmarks/windows.tsv": "data",
        "models/encoder": "encoder",
        "logs/models/decoder.log": "decoder",
        "alignment/texts.json": "texts",
        "alignment/model": "alignment",
        "audit/leakage.parquet": "audit",
    }.items():
        assert place_of(run, path) == f"{folders[stage]}/{path}"
    for path in ("training/model", "predictions/Mine_Dom/x.parquet", "metrics.json", "logs/training.log"):
        assert place_of(run, path) == f"out/plain/seed-1/{path}"


def test_the_shipped_experiment_is_valid():
    root = Path(__file__).parents[3]
    assert len(load_runs(root / "config/ablation.yaml")) == 6
