"""The plan of an experiment is the sum of its runs' plans, what they share counted once."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.config.variants import load_runs

RUN = {
    "datasets": {"Mine_Dom": {"train": "absent.json", "test": "absent.json"}},
    "models": {"encoder": "esm2_t6_8M_UR50D"},
    "results": "out",
}
SIZE = ["--proteins", "1000", "--mean-length", "300", "--json"]


def planned(path) -> dict:
    result = CliRunner().invoke(app, ["plan", "--config", str(path), *SIZE])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_shared_stages_count_once(tmp_path):
    variants = {"plain": {}, "narrow": {"lora.rank": 2}, "other": {"models.encoder": "esm2_t12_35M_UR50D"}}
    path = tmp_path / "experiment.yaml"
    path.write_text(
        yaml.safe_dump(RUN | {"experiment": {"variants": variants, "seeds": [1, 2]}}, sort_keys=False)
    )
    alone = {}
    for run in load_runs(path)[::2]:
        single = tmp_path / f"{run.variant}.yaml"
        single.write_text(yaml.safe_dump(run.values))
        alone[run.variant] = planned(single)
    found = planned(path)
    hours = {name: plan["gpu_hours"] for name, plan in alone.items()}
    assert found["gpu_hours"]["embedding"] == pytest.approx(
        hours["plain"]["embedding"] + hours["other"]["embedding"]
    )
    for stage in ("training", "generation"):
        assert found["gpu_hours"][stage] == pytest.approx(2 * sum(each[stage] for each in hours.values()))
    stores = alone["plain"]["store_bytes"] + alone["other"]["store_bytes"]
    assert found["disk"] == stores + 2 * sum(plan["checkpoint_bytes"] for plan in alone.values())
    assert [run["name"] for run in found["runs"]] == [
        f"{name}_{seed}" for name in variants for seed in (1, 2)
    ]
