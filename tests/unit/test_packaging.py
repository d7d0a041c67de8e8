"""Files that repeat what pyproject.toml says must say the same."""

import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EVERY = [
    *PROJECT["dependencies"],
    *(name for extra in PROJECT["optional-dependencies"].values() for name in extra),
]


def test_conda_environment_has_the_dependencies():
    environment = yaml.safe_load((REPOSITORY / "environment.yaml").read_text())
    assert environment["dependencies"][-1]["pip"] == PROJECT["dependencies"]


def test_constraints_pin_the_same_versions():
    pinned = {plain(line) for line in (REPOSITORY / "constraints.txt").read_text().splitlines()}
    assert not [name for name in EVERY if plain(name) not in pinned]


def plain(requirement: str) -> str:
    """Package names compare without case, and with '-' for '_'."""
    return requirement.lower().replace("_", "-")


@pytest.mark.parametrize("requirement", EVERY)
def test_each_dependency_has_its_reason(requirement):
    name = requirement.partition("==")[0]
    assert f"`{name}`" in (REPOSITORY / "docs/dependencies.md").read_text()
