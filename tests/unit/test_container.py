"""The image's recipe passes its linter and copies only files that exist; metadata files state the package's version."""

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
        r'^include: "../(\w+)/', (REPOSITORY / "workflow/Snakefile").read_text(), re.MULTILINE
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
