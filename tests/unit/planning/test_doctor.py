"""What the pre-flight check finds, with Slurm's commands replaced by scripts that print a site's answers."""

import json
import os
import socket
from pathlib import Path

import pytest
import yaml
from raw_files import protein
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.config.run import parse_config
from fragmodel.planning import doctor
from fragmodel.planning.doctor import Finding, _gpus, _shared, _torch

ANSWERS = {
    "sbatch": "",
    "scancel": "",
    "squeue": "",
    "sinfo": 'case "$*" in *version*) echo "slurm 24.05.1";; *) echo "short|(null)|64|n1"; '
    'echo "gpu|gpu:a100:8(S:0-1)|128|n2";; esac',
    "sacctmgr": "echo proteins",
    "scontrol": 'case "$*" in *partition*) echo "PartitionName=short PreemptMode=REQUEUE";; '
    '*) echo "MinJobAge               = 300 sec";; esac',
}
SITE = {
    "resources": {"slurm_account": "proteins"},
    "cores_per_node": 64,
    "partitions": {"short": {}, "gpu": {"max_gpu": 8}},
}


class Site:
    """A folder with a config, a site file and the commands of a cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "slurm").mkdir()
        for name, code in ANSWERS.items():
            self.answer(name, code)
        self.site(SITE)
        (folder / "raw.json").write_text(json.dumps([protein()]))
        self.config()

    def answer(self, name: str, code: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{code}\n")
        path.chmod(0o755)

    def site(self, site: dict) -> None:
        (self.folder / "slurm/site.yaml").write_text(yaml.safe_dump(site))

    def config(self, **sections: dict) -> None:
        data = {"VenusX_Dom": {"train": "raw.json", "test": "raw.json"}}
        (self.folder / "config.yaml").write_text(yaml.safe_dump({"datasets": data, **sections}))

    def doctor(self, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
        """Exit status, and state and text by subject."""
        result = CliRunner().invoke(app, ["doctor", *arguments])
        lines = [line for line in result.output.splitlines() if line[:7].strip() in ("ok", "note", "missing")]
        assert all(len(line) <= 140 for line in lines)
        found = {}
        for line in lines:
            subject, _, text = line[9:].partition("  ")
            found[subject] = (line[:7].strip(), text.strip())
        return result.exit_code, found


@pytest.fixture
def site(tmp_path, monkeypatch) -> Site:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("FRAGMODEL_SITE", raising=False)
    monkeypatch.chdir(tmp_path)
    apart = Finding("elsewhere", "ok", "tested apart")
    monkeypatch.setattr(doctor, "_shared", lambda folder, nodes: apart)
    monkeypatch.setattr(doctor, "_torch", lambda run, on_cluster: apart)
    return Site(tmp_path)


def test_a_site_that_has_all(site):
    status, found = site.doctor()
    assert status == 0
    assert found["account"] == ("ok", "proteins")
    assert found["partition gpu"] == ("ok", "1 nodes, up to 128 cores and 8 GPUs each")
    assert found["plugin"][0] == "ok"


def test_an_unknown_partition_is_named_with_those_there_are(site):
    site.site(SITE | {"partitions": {"cpu": {}, "gpu": {"max_gpu": 8}}})
    status, found = site.doctor()
    assert status == 1
    assert found["partition cpu"] == ("missing", "Slurm has gpu, short: edit the site file")


def test_an_account_of_others_is_missing(site):
    site.answer("sacctmgr", "echo chemistry")
    status, found = site.doctor()
    assert status == 1
    assert found["account"][1].startswith("proteins is not yours; you have chemistry")


def test_a_site_without_accounts_is_fine(site):
    site.answer("sacctmgr", "exit 1")
    assert site.doctor()[0] == 0


def test_more_gpus_than_a_node_has(site):
    site.config(training={"gpus": 16})
    status, found = site.doctor()
    assert status == 1
    assert found["GPUs"][0] == "missing"


def test_a_forgetful_controller_is_noted(site):
    site.answer("scontrol", 'echo "MinJobAge = 10 sec"')
    status, found = site.doctor()
    assert status == 0
    assert found["job states"][0] == "note"


def test_a_partition_that_cancels_preempted_jobs_is_noted(site):
    assert "preemption short" not in site.doctor()[1]
    site.answer("scontrol", 'echo "PartitionName=short AllowGroups=ALL PreemptMode=CANCEL"')
    assert site.doctor()[1]["preemption short"][0] == "note"


def test_a_controller_that_is_down(site):
    site.answer("sinfo", "exit 1")
    status, found = site.doctor()
    assert (status, found["Slurm"][0]) == (1, "missing")


def test_absent_commands_are_named(site, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name, **_: None)
    status, found = site.doctor("--profile", "slurm")
    assert status == 1
    assert found["Slurm"][1].startswith("sbatch, squeue, sinfo, scancel not on PATH")
    assert site.doctor("--profile", "default")[0] == 0


def test_disk_space_counts_rows_of_the_windows(site):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (site.folder / "results").mkdir()
    pq.write_table(pa.table({"length": [98, 198]}), site.folder / "results/windows.parquet")
    # (98 + 2 + 198 + 2) rows of 64 numbers in two bytes.
    assert site.doctor()[1]["disk space"][1].endswith("the store needs 38.4 kB")


def test_a_faulty_site_file_is_a_mistake_in_one_line(site):
    site.site({"partitions": {}, "cores_per_node": 1})
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 2
    assert not result.output.strip() or "partitions" in result.output


@pytest.mark.parametrize(
    ("gres", "count"), [("(null)", 0), ("gpu:4", 4), ("gpu:a100:8(S:0-1)", 8), ("gpu:a:2,gpu:b:1,nvme:9", 3)]
)
def test_gpus_of_a_node(gres, count):
    assert _gpus(gres) == count


def test_a_folder_of_this_node_only_is_no_place_for_jobs_on_others(tmp_path, monkeypatch):
    kinds = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    monkeypatch.setattr(doctor, "LOCAL_FILE_SYSTEMS", kinds)
    assert _shared(tmp_path, {"node1", "node2"}).state == "missing"
    assert _shared(tmp_path, {socket.gethostname().partition(".")[0]}).state == "ok"
    monkeypatch.setattr(doctor, "LOCAL_FILE_SYSTEMS", set())
    assert _shared(tmp_path, {"node1", "node2"}).state == "ok"


def test_gpus_that_are_wanted_must_be_visible_here_or_on_the_cluster(monkeypatch):
    datasets = {"VenusX_Dom": {"train": "a.json", "test": "a.json"}}
    run = parse_config({"datasets": datasets, "training": {"gpus": 2}})
    monkeypatch.setattr(doctor, "_cuda_of_torch", lambda: "13.0")
    monkeypatch.setattr(doctor, "_lines", lambda *command: ["GPU 0: H200"])
    assert _torch(run, on_cluster=False).state == "missing"
    assert _torch(run, on_cluster=True).state == "ok"
    monkeypatch.setattr(doctor, "_cuda_of_torch", lambda: None)
    assert "CUDA build" in _torch(run, on_cluster=True).text
