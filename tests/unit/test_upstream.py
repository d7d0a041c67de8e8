"""The list of what is no promise of the packages above ours: true, and complete."""

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from fragmodel.training.trainer import FragTrainer
from fragmodel.upstream import RELIED_ON

PACKAGE = Path(__file__).parents[2] / "fragmodel"


def resolve(dotted: str) -> Any:
    """What a dotted name means; a name that only instances have must stand in the source of its class."""
    names = dotted.split(".")
    found, rest = importlib.import_module(names[0]), names[1:]
    while rest:
        name, *rest = rest
        if not hasattr(found, name) and inspect.ismodule(found):
            importlib.import_module(f"{found.__name__}.{name}")
        if not hasattr(found, name) and inspect.isclass(found):
            assert name in inspect.getsource(found), f"{dotted} is gone"
            return name
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("name", RELIED_ON)
def test_each_name_still_exists_and_is_used_where_the_list_says(name: str) -> None:
    assert resolve(name) is not None
    assert (PACKAGE / RELIED_ON[name].split()[0]).is_file()


def test_no_other_name_from_inside_these_packages_is_imported() -> None:
    taken = {
        f"{node.module}.{alias.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom) and node.module and "." in node.module
        for alias in node.names
        if node.module.split(".")[0] in ("transformers", "peft", "accelerate")
    }
    assert taken, "the search finds what there is"
    assert sorted(taken - set(RELIED_ON)) == []


def test_no_other_private_step_of_the_trainer_is_overridden() -> None:
    private = {name for name in vars(FragTrainer) if name.startswith("_") and not name.startswith("__")}
    assert private == {name.rpartition(".")[2] for name in RELIED_ON if ".Trainer._" in name}
