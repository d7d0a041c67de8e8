"""The package is as docs/architecture.md says: data flows one way, no two modules import each other."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "fragmodel"
LINES = 300
DECLARATIONS = {  # lists of settings and arguments, which are read one entry at a time
    "training/arguments.py",
    "tables/contracts.py",
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> set[str]:
    """Modules of the package that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES) or {node.module}
    return {name for name in found if name in MODULES and name != "fragmodel"}


def layers() -> list[str]:
    table = (REPOSITORY / "docs/architecture.md").read_text().split("| module | what it knows |")[1]
    return re.findall(r"^\| `(\w+)` \|", table.split("\n\n")[0], re.MULTILINE)


def test_the_list_names_every_room():
    rooms = {name.split(".")[1] for name in MODULES if name.count(".")} - {"__main__"}
    assert sorted(layers()) == sorted(rooms)


@pytest.mark.parametrize("name", [name for name in MODULES if name.count(".") and "__main__" not in name])
def test_a_module_imports_from_above_only(name):
    order = {layer: place for place, layer in enumerate(layers())}
    own = name.split(".")[1]
    below = {other for other in imports(MODULES[name]) if order[other.split(".")[1]] > order[own]}
    assert not below, f"{name} imports {sorted(below)} from below itself"


def test_no_two_modules_import_each_other():
    graph = {name: imports(path) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def follow(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                follow(other, (*way, name))
            done.add(name)

    for name in graph:
        follow(name, ())


def test_files_can_be_read_in_one_sitting():
    long = {
        str(path.relative_to(PACKAGE)): count
        for path in MODULES.values()
        if (count := len(path.read_text().splitlines())) > LINES
    }
    assert set(long) <= DECLARATIONS, long


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "CONTRIBUTING.md",
        *sorted(f"docs/{page.name}" for page in (REPOSITORY / "docs").glob("*.md")),
    ],
)
def test_files_that_pages_name_are_there(path):
    text = (REPOSITORY / path).read_text()
    named = re.findall(r"`((?:fragmodel|rules|tests|workflow_scripts|benchmarks)/[\w./-]+\.\w+)`", text)
    assert not [name for name in named if not (REPOSITORY / name).exists()]
