"""Names of twenty real-looking sites, as sbatch hears them: the profile must not read them as Python or numbers."""

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.cli import parse_args
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from workflow_copy import REPOSITORY

from fragmodel.planning.doctor import read_site

SITE = """
resources:
  {name}: {text}
sbatch_options: {options}
cores_per_node: 64
partitions:
  all:
    max_gpu: 4
"""

# What stands in the file, what must arrive.
NAMES = [
    ("slurm_account", "my-project", "my-project"),
    ("slurm_account", "2024-17", "2024-17"),  # no difference of two numbers
    ("slurm_account", "0012345", "0012345"),  # neither octal nor without its zeros
    ("slurm_account", "1e5", "1e5"),
    ("slurm_account", "1_000", "1_000"),
    ("slurm_account", "yes", "yes"),
    ("slurm_account", "None", "None"),
    ("slurm_account", "p_bio.lab+gpu", "p_bio.lab+gpu"),
    ("slurm_account", "2026-11-27", "2026-11-27"),  # no date
    ("constraint", "7742|7763", "7742|7763"),  # no bits
    ("constraint", "a100&ib", "a100&ib"),
    ("constraint", '"[rack1|rack2]"', "[rack1|rack2]"),
    ("constraint", "gpu_mem:80GB", "gpu_mem:80GB"),
    ("constraint", '"a100*2&h100*1"', "a100*2&h100*1"),
    ("qos", "long", "long"),
    ("qos", "max", "max"),  # no function of Python
    ("qos", "07", "07"),
    ("qos", "1:00", "1:00"),  # no base 60
    ("qos", "it's", "it's"),
]
OPTIONS = [
    ("''", []),
    ("--licenses=scratch:1,matlab:2", ["--licenses=scratch:1,matlab:2"]),
    ('''"--mail-user=a@b.org --comment='a b'"''', ["--mail-user=a@b.org", "--comment=a b"]),
    ("""'--wckey="x y" --reservation=it_s'""", ["--wckey=x y", "--reservation=it_s"]),
]


def default_resources(site: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The resources that Snakemake itself reads from the profile with this site file, evaluated."""
    path = folder / "site.yaml"
    path.write_text(site)
    monkeypatch.setenv("FRAGMODEL_SITE", str(path))
    monkeypatch.chdir(REPOSITORY)
    words = ["--profile", "slurm"]
    monkeypatch.setattr(sys, "argv", ["snakemake", *words])
    _, arguments = parse_args(words)
    job = {"wildcards": None, "input": (), "attempt": 1, "threads": 1, "rulename": "x", "async_run": None}
    found = arguments.default_resources
    return {name: found[name].evaluate(**job).value for name in found if name not in ("tmpdir", "disk_mb")}


def submission(resources: dict[str, Any]) -> list[str]:
    """The words that sbatch gets from the plugin."""
    names = ("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir")
    job = SimpleNamespace(resources=Resources(resources), threads=1)
    return shlex.split(get_submit_command(job, dict.fromkeys(names, "x")))


class Resources(dict):
    __getattr__ = dict.__getitem__


@pytest.mark.parametrize(("name", "text", "expected"), NAMES)
def test_a_name_arrives_as_it_stands(
    name: str, text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = SITE.format(name=name, text=text, options="''")
    found = default_resources(site, tmp_path, monkeypatch)
    assert found[name] == expected
    assert (found["mem_mb"], found["runtime"]) == (2000, 60)
    words = submission(found)
    if name == "constraint":
        assert words[words.index("-C") + 1] == expected
    if name == "qos":
        assert f"--qos={expected}" in words
    (tmp_path / "site.yaml").write_text(site)
    assert read_site(tmp_path / "site.yaml")["resources"][name] == expected  # as `fragmodel doctor` reads it


@pytest.mark.parametrize(("text", "expected"), OPTIONS)
def test_options_keep_their_quotes(
    text: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = SITE.format(name="mem_mb", text="4000", options=text)
    found = default_resources(site, tmp_path, monkeypatch)
    words = submission(found)
    assert words[words.index("--signal=USR1@180") + 1 :][: len(expected)] == expected
    assert words[words.index("--mem") + 1] == "4000"
