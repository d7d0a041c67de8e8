"""A git host of this repository, and the shell of one of its users, who has installed the package from there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
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
    """The host has the working tree as version v0.1.0."""

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

    def deploy(self, folder: Path) -> Path:
        """What snakedeploy makes of the host's repository in ``folder``: where a user starts."""
        self.run("snakedeploy", "deploy-workflow", URL, "run", "--tag", "v0.1.0", cwd=folder)
        return folder / "run"

    def run(self, program: str, *arguments: str, cwd: Path, fails: bool = False) -> str:
        """What a program says that ends well, or ``fails``."""
        found = Path(sys.executable).with_name(program)
        command = [found if found.exists() else program, *arguments]
        result = subprocess.run(command, cwd=cwd, env=self.environment, capture_output=True, text=True)
        said = result.stdout + result.stderr
        assert bool(result.returncode) == fails, said[-6000:]
        return said
