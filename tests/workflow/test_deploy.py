"""The repository as snakedeploy and Snakemake's modules take it from a git host."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
PUBLISHED = (
    "Snakefile",
    "workflow",
    "rules",
    "config",
    "config.yaml",
    "profiles",
    "environment.yaml",
    "data",
    "fragmodel",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
URL = "https://github.com/lab/fragmodel"


class Host:
    """A git host with the working tree as version v0.1.0, and the shell of one of its users."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        git_config = folder / "gitconfig"
        git_config.write_text(
            f'[url "file://{folder}/"]\n\tinsteadOf = https://github.com/\n'
            "[user]\n\tname = lab\n\temail = lab@example.org\n[init]\n\tdefaultBranch = main\n"
        )
        self.environment = os.environ | {
            "GIT_CONFIG_GLOBAL": str(git_config),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PYTHONPATH": str(folder / "installed"),  # without the working tree
        }
        self.clone = folder / "lab/fragmodel"
        self.clone.mkdir(parents=True)
        for name in PUBLISHED:
            source, target = REPOSITORY / name, self.clone / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, target, symlinks=True, ignore=ignored)
            else:
                shutil.copy(source, target)
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"], ["tag", "v0.1.0"]):
            self.run("git", *command, cwd=self.clone)

    def run(self, program: str, *arguments: str, cwd: Path) -> str:
        found = Path(sys.executable).with_name(program)
        command = [found if found.exists() else program, *arguments]
        result = subprocess.run(command, cwd=cwd, env=self.environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout + result.stderr


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host(tmp_path_factory.mktemp("host"))


@pytest.mark.slow
def test_three_commands_lead_to_a_report(host, tmp_path):
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(host.folder / "installed")]
    host.run("pip", "install", "-q", *offline, f"git+{URL}@v0.1.0", cwd=tmp_path)
    host.run("snakedeploy", "deploy-workflow", URL, "run", "--tag", "v0.1.0", cwd=tmp_path)
    run = tmp_path / "run"
    assert (run / "config/README.md").is_file() and (run / "profiles/slurm/site.yaml").is_file()
    shorten(run / "config/config.yaml")
    host.run("snakemake", cwd=run)  # profiles/default came along
    assert "VenusX_Act" in (run / "results/report.html").read_text()
    # All that ran is what was installed: links to the package, to nothing beside it.
    links = sorted(path.name for path in (run / ".snakemake/package").iterdir())
    assert links == ["fragmodel", "fragmodel-0.1.0.dist-info"]
    assert (run / ".snakemake/package/fragmodel").readlink() == host.folder / "installed/fragmodel"
    assert "Nothing to be done" in host.run("snakemake", cwd=run)


def shorten(config: Path) -> None:
    """A run of seconds, by the keys that a user edits."""
    run = yaml.safe_load(config.read_text())
    run["datasets"] = {"VenusX_Act": run["datasets"]["VenusX_Act"] | {"tasks": ["referring_class"]}}
    run["models"]["stand_in"] |= {"decoder_epochs": 0, "vocab_size": 600}
    run["training"] |= {"max_steps": 2, "checkpoint_steps": 2}
    run["evaluation"] |= {"max_new_tokens": 8, "bootstrap_samples": 10, "baselines": ["majority"]}
    config.write_text(yaml.safe_dump(run))


def test_the_default_config_is_there_once():
    assert (REPOSITORY / "config/config.yaml").resolve() == REPOSITORY / "config.yaml"
    assert (REPOSITORY / "config/sample").resolve() == REPOSITORY / "data/sample"


def test_without_the_package_it_is_said_what_to_install(host, tmp_path):
    host.run("snakedeploy", "deploy-workflow", URL, "run", "--tag", "v0.1.0", cwd=tmp_path)
    # -S and a path of its own: Snakemake, and all that is installed but the package.
    hide = "import sys; sys.modules['fragmodel'] = None; from snakemake.cli import main; main()"
    command = [sys.executable, "-c", hide, "-n"]
    environment = host.environment | {"PYTHONPATH": ""}
    result = subprocess.run(command, cwd=tmp_path / "run", env=environment, capture_output=True, text=True)
    said = result.stdout + result.stderr
    assert result.returncode and "pip install" in said and "Traceback" not in said, said[-3000:]
