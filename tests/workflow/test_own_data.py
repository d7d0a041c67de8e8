"""Own data as people bring it, in four formats, with no key beyond file names; and what the tutorial says to type."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from workflow_copy import REPOSITORY, Workflow

from fragmodel.files import held
from fragmodel.tables import read_metadata
from fragmodel.vocabulary import RUN_LOCK

pytestmark = pytest.mark.slow

RAW = REPOSITORY / "tests/data/raw"
SPLITS = ("train", "valid", "test")
ROUTES = {
    "Nested_Act": ["uniprot/json_nested_Act.json"],
    "Flat_all": ["uniprot/entries.dat"],
    "Scan_Dom": ["interproscan/results.json"],
    "Table_Dom": [
        "agreement/scan.tsv",
        "agreement/scan.faa",
    ],  # without the entry.list that lies beside it there
}
FAMILIES = {"Nested_Act": "active site", "Flat_all": "fragment", "Scan_Dom": "domain", "Table_Dom": "domain"}


@pytest.fixture(scope="module")
def brought(tmp_path_factory) -> Workflow:
    """The four routes, ingested by the workflow. One file for all three splits shows that it works, no more."""
    folder = tmp_path_factory.mktemp("own_data")
    datasets = {}
    for name, files in ROUTES.items():
        (folder / name).mkdir()
        for file in files:
            shutil.copy(RAW / file, folder / name)
        datasets[name] = dict.fromkeys(SPLITS, f"{name}/{Path(files[0]).name}")
    workflow = Workflow(folder, {"datasets": datasets})
    workflow.snakemake("--", "ingest")
    return workflow


def test_every_route_gives_records_and_tells_the_family(brought):
    for name, family in FAMILIES.items():
        told = read_metadata(brought.results / f"data/{name}/referring_class/train.parquet")
        assert told["arguments"]["family"] == family and told["counts"]["accepted"] > 0
        assert told["counts"]["rejected"] == told["counts"]["lacking"]


def test_one_run_at_a_time_works_in_a_folder(brought):
    with held(brought.results / RUN_LOCK, "the run"):
        busy = brought.snakemake("--", "embed", check=False)
    assert busy.returncode and "a run is at work in this folder, by process" in busy.stdout + busy.stderr


def test_a_key_of_a_section_and_a_target_on_the_command_line(brought):
    jobs = brought.planned("--config", "training={max_steps: 5}", "--", "train")
    assert jobs["train_model"] == 1 and not {"ingest", "report"} & set(jobs)
    wrong = brought.snakemake("-n", "--config", "training={max_step: 5}", check=False)
    assert "training.max_step: unknown key; did you mean 'max_steps'?" in wrong.stdout + wrong.stderr


def test_the_tutorial_s_config_and_commands(tmp_path):
    """What the page says to write is valid, and plans a run on the file that it names."""
    text = (REPOSITORY / "docs/tutorial.md").read_text()
    (config,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    run = Workflow(tmp_path, yaml.safe_load(config))
    (tmp_path / "mine.yaml").write_text(config)
    shutil.copy(RAW / "interproscan/results.json", tmp_path)
    commands = [
        line.strip() for line in text.replace("\\\n", "").splitlines() if line.startswith("    fragmodel ")
    ]
    for command in [line for line in commands if line.split()[1] in ("ingest", "config")]:
        run.shell(command)
    assert run.planned("--configfile", "mine.yaml")["report"] == 1
