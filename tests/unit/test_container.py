"""The image's recipe passes its linter and copies only files that exist; metadata files state the package's version."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "Dockerfile"


def test_the_dockerfile_passes_hadolint():
    linter = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_is_copied_exists_and_suffices():
    copied = {
        name
        for line in re.findall(r"^COPY (.*)$", DOCKERFILE.read_text(), re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert all((REPOSITORY / name).exists() for name in copied)
    included = re.findall(
        r'^ *include: "../(\w+)/', (REPOSITORY / "workflow/Snakefile").read_text(), re.MULTILINE
    )
    assert (
        included
        and {
            "Snakefile",
            "workflow",
            "config",
            "config.yaml",
            "environment.yaml",
            "workflow_scripts",
            *included,
        }
        <= copied
    )


def test_the_image_installs_the_same_torch():
    pinned = re.findall(r"torch==([\d.]+)", DOCKERFILE.read_text())
    project = (REPOSITORY / "pyproject.toml").read_text()
    assert pinned and all(f'"torch=={version}"' in project for version in pinned)


def test_citation_names_this_version():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert (citation["title"], str(citation["version"])) == (project["name"], project["version"])
    assert citation["license"] == project["license"]
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["authors"]


def test_the_default_command_works_in_an_empty_folder(tmp_path):
    """The image's command, with this checkout for the one in the image, up to what it would run."""
    shell, option, script = json.loads(re.search(r"^CMD (.*)$", DOCKERFILE.read_text(), re.MULTILINE)[1])
    assert (shell, option) == ("sh", "-c")
    script = script.replace("/opt/fragmodel", str(REPOSITORY)) + " --dry-run"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for _ in ("empty", "with the config of the first time"):
        result = subprocess.run(
            [shell, option, script], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
        assert "train_model" in result.stdout
        config = tmp_path / "config/config.yaml"
        assert config.is_file() and not config.is_symlink()
        config.write_text(config.read_text().replace("VenusX_Evo:", "VenusX_Own_Evo:"))
    assert "ingest_VenusX_Own_Evo" in result.stdout
