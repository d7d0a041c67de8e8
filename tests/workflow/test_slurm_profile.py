"""What the Slurm profile would submit, as a dry run tells it: no Slurm is needed for that."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workflow_copy import REPOSITORY, Workflow

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    folder = tmp_path_factory.mktemp("profile")
    shutil.copy(REPOSITORY / "data/sample/VenusX_Dom/valid.json", folder / "raw.json")
    return Workflow(folder, {})


def resources(copy: Workflow, rule: str, **sections: dict) -> dict[str, str]:
    """Resources and threads of a rule's job under `--profile slurm`."""
    copy.configure({"datasets": {"VenusX_Dom": {"train": "raw.json", "test": "raw.json"}}, **sections})
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--profile",
        "slurm",
        "--configfile",
        "run.yaml",
        "-n",
        "train",
    ]
    result = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    block = re.search(rf"^rule {rule}:\n(?:    .*\n)+", result.stdout, re.MULTILINE)[0]
    lines = dict(line.strip().split(": ", 1) for line in block.splitlines()[1:])
    listed = dict(item.split("=", 1) for item in lines["resources"].split(", "))
    return {**listed, "threads": lines["threads"]}


def test_one_node(copy):
    found = resources(copy, "train_model", training={"gpus": 4, "workers": 3})
    assert found["gpu"] == "4"
    assert found["threads"] == "16", "each process and its three workers"
    assert found["runtime"] == "1440"
    assert "nodes" not in found
    assert found["slurm_extra"].startswith("--signal=USR1@")


def test_several_nodes_ask_for_gpus_on_each_and_start_their_own_processes(copy):
    found = resources(copy, "train_model", training={"gpus": 8, "nodes": 2})
    asked = {name: found.get(name) for name in ("nodes", "tasks", "mpi", "gres", "tasks_per_gpu", "gpu")}
    assert asked == {
        "nodes": "2",
        "tasks": "2",
        "mpi": "srun",
        "gres": "gpu:8",
        "tasks_per_gpu": "0",
        "gpu": None,
    }


def test_several_nodes_as_sbatch_hears_it(copy):
    """The submission of the plugin itself for these resources."""
    from types import SimpleNamespace

    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    found = resources(copy, "train_model", training={"gpus": 8, "nodes": 2})
    values = {name: int(value) if value.isdigit() else value for name, value in found.items()}
    values["mem_mb"] = 28000
    job = SimpleNamespace(resources=_Resources(values), threads=int(found["threads"]))
    names = ("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir")
    command = get_submit_command(job, dict.fromkeys(names, "x")) + set_gres_string(job)
    words = command.split()
    assert {"--nodes=2", "--ntasks=2", "--gres=gpu:8", "--cpus-per-task=8"} <= set(words)
    assert not [word for word in words if word.startswith(("--gpus", "--ntasks-per-gpu"))]


class _Resources(dict):
    __getattr__ = dict.__getitem__


def test_a_site_file_caps_threads_and_gives_its_names(copy, monkeypatch):
    site = {
        "resources": {"slurm_account": "proteins", "constraint": "a100"},
        "sbatch_options": "--licenses=scratch",
        "cores_per_node": 6,
        "partitions": {"all": {"max_gpu": 4}},
    }
    path = Path(copy.folder) / "elsewhere.yaml"
    path.write_text(yaml.safe_dump(site))
    monkeypatch.setenv("FRAGMODEL_SITE", str(path))
    found = resources(copy, "train_model", training={"gpus": 4, "workers": 3})
    assert (found["threads"], found["slurm_account"], found["constraint"]) == ("6", "proteins", "a100")
    assert found["slurm_extra"] == "--signal=USR1@180 --licenses=scratch"
