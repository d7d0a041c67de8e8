"""Own data as people bring it, in four formats, with no key beyond files and models; and what the tutorial says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_copy import REPOSITORY, Workflow, planned_jobs

from fragmodel.files import held
from fragmodel.tables import read_metadata
from fragmodel.vocabulary import RUN_LOCK

pytestmark = pytest.mark.slow

FAMILIES = {"Nested_Act": "active site", "Flat_all": "fragment", "Scan_Dom": "domain", "Table_Dom": "domain"}


def test_every_route_leads_to_the_report_and_tells_the_family(deployed):
    metrics = json.loads((deployed / "results/metrics.json").read_text())
    page = (deployed / "results/report.html").read_text()
    for name, family in FAMILIES.items():
        told = read_metadata(deployed / f"results/data/{name}/referring_class/train.parquet")
        assert told["arguments"]["family"] == family and told["counts"]["accepted"] > 0
        assert told["counts"]["rejected"] == told["counts"]["lacking"]
        assert set(metrics[name]) == {
            "referring_desc",
            "referring_class",
            "grounding_single",
            "grounding_group",
        }
        assert re.search(rf">\s*{name} <small>{family}</small>", page)


def test_one_run_at_a_time_works_in_a_folder(host, deployed):
    again = ["--forcerun", "windows", "--until", "windows"]
    with held(deployed / "results" / RUN_LOCK, "the run"):
        busy = host.run("snakemake", *again, cwd=deployed, fails=True)
    assert "a run is at work in this folder, by process" in busy


def test_a_key_of_a_section_and_a_target_on_the_command_line(host, deployed):
    jobs = planned_jobs(
        host.run("snakemake", "-n", "--config", "training={max_steps: 5}", "--", "train", cwd=deployed)
    )
    assert jobs == {"train_model": 1}
    wrong = host.run("snakemake", "-n", "--config", "training={max_step: 5}", cwd=deployed, fails=True)
    assert "training.max_step: unknown key; did you mean 'max_steps'?" in wrong


def test_the_tutorial_is_typed_from_the_first_command_to_the_last(tmp_path):
    """But InterProScan itself: its results are the file that the page offers for a try."""
    text = (REPOSITORY / "docs/tutorial.md").read_text()
    text, config, rest = re.split(r"```yaml\n# mine.yaml\n(.*?)```", text, flags=re.DOTALL)
    run = Workflow(tmp_path, {})
    (tmp_path / "mine.yaml").write_text(config)
    offered = re.search(r"take the small result file of the tests: `(.*)`", text)[1]
    shutil.copy(REPOSITORY / offered, tmp_path)
    shutil.copy((REPOSITORY / offered).with_suffix(".faa"), tmp_path / "proteins.fasta")
    text = (text + rest).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert lines.pop(0).startswith("interproscan.sh ") and len(lines) == 5
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # as .venv/bin/activate does
        "PYTHONPATH": str(run.folder),
    }
    typed = subprocess.run(
        ["bash", "-e", "-x", "-c", "\n".join(lines)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert typed.returncode == 0, typed.stdout[-3000:] + typed.stderr[-3000:]
    assert "Mine_Dom" in (tmp_path / "results-mine/report.html").read_text()
    assert (tmp_path / "out.gff3").read_text().startswith("##gff-version 3")
