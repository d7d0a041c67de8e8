"""The repository as snakedeploy and Snakemake's modules take it from a git host."""

import subprocess
import sys

import pytest
from git_host import REPOSITORY


@pytest.mark.slow
def test_three_commands_lead_to_a_report(host, deployed):
    assert (deployed / "config/README.md").is_file() and (deployed / "profiles/slurm/site.yaml").is_file()
    assert "Nested_Act" in (deployed / "results/report.html").read_text()
    # All that ran is what was installed: links to the package, to nothing beside it.
    links = sorted(path.name for path in (deployed / ".snakemake/package").iterdir())
    assert links == ["fragmodel", "fragmodel-0.1.0.dist-info"]
    assert (deployed / ".snakemake/package/fragmodel").readlink() == host.folder / "installed/fragmodel"
    assert "Nothing to be done" in host.run("snakemake", cwd=deployed)


@pytest.mark.slow
def test_the_run_that_is_shipped_starts_where_it_is_deployed(host, deployed, tmp_path):
    assert "train_model" in host.run("snakemake", "-n", cwd=host.deploy(tmp_path))


def test_the_default_config_is_there_once():
    assert (REPOSITORY / "config/config.yaml").resolve() == REPOSITORY / "config.yaml"
    assert (REPOSITORY / "config/sample").resolve() == REPOSITORY / "data/sample"


def test_without_the_package_it_is_said_what_to_install(host, tmp_path):
    # -S and a path of its own: Snakemake, and all that is installed but the package.
    hide = "import sys; sys.modules['fragmodel'] = None; from snakemake.cli import main; main()"
    command = [sys.executable, "-c", hide, "-n"]
    environment = host.environment | {"PYTHONPATH": ""}
    folder = host.deploy(tmp_path)
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    said = result.stdout + result.stderr
    assert result.returncode and "pip install" in said and "Traceback" not in said, said[-3000:]
