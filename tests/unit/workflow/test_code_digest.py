"""The digest of a stage's code changes with what the stage imports, and with nothing else."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fragmodel
from fragmodel.workflow import code_digest as digests
from fragmodel.workflow.code_digest import code_digest

REPOSITORY = Path(fragmodel.__file__).parents[1]
SCORE, TRAINING, INGEST, REPORT = (
    "fragmodel.evaluation.score",
    "fragmodel.training.run",
    "fragmodel.data.ingest",
    "fragmodel.report.page",
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that may be edited."""
    copy = tmp_path / "fragmodel"
    shutil.copytree(REPOSITORY / "fragmodel", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(digests, "_PACKAGE", copy)
    digests._imports.cache_clear()
    yield copy
    digests._imports.cache_clear()


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")
    digests._imports.cache_clear()


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("evaluation/metrics/grounding.py", {SCORE}),
        ("training/trainer.py", {TRAINING}),
        ("training/arguments.py", {TRAINING}),
        ("data/readers/nested.py", {INGEST, TRAINING}),  # training reads raw files too
        ("report/templates/style.css", {REPORT}),
        ("errors.py", {SCORE, TRAINING, INGEST, REPORT}),
        ("cli/score.py", set()),
        ("__init__.py", set()),  # it re-exports lazily
    ],
)
def test_an_edit_concerns_those_who_import_it(package: Path, edited: str, changed: set[str]) -> None:
    stages = (SCORE, TRAINING, INGEST, REPORT)
    before = {stage: code_digest(stage) for stage in stages}
    edit(package / edited)
    after = {stage: code_digest(stage) for stage in stages}
    assert {stage for stage in stages if before[stage] != after[stage]} == changed


def test_is_that_of_the_package_itself(package: Path) -> None:
    copied = code_digest(SCORE, TRAINING)
    assert re.fullmatch("[0-9a-f]{16}", copied)
    assert copied == code_digest(TRAINING, SCORE)
    assert copied != code_digest(TRAINING)


@pytest.mark.parametrize("stage", [SCORE, "fragmodel.data.ingest"])
def test_covers_everything_that_python_loads(package: Path, stage: str) -> None:
    """Against the import system itself: no loaded module of the package may be missed."""
    program = f"import sys, {stage}; print(*[m for m in sys.modules if m.startswith('fragmodel.')])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = run.stdout.split()
    assert len(loaded) > 5
    for module in loaded:
        path = digests._path(module)
        if path.name == "__init__.py" and path.stat().st_size < 200:
            continue  # a package's docstring runs no code
        before = code_digest(stage)
        edit(path)
        assert code_digest(stage) != before, module


def rules() -> Iterator[tuple[str, Path, list[str]]]:
    """Each rule with its script and the modules that its digest names."""
    for file in sorted((REPOSITORY / "rules").glob("*.smk")):
        for part in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            script = re.search(r'script:\s*"\.\./(\S+)"', part)
            digest = re.search(r"code_digest\(([^)]*)\)", part)
            if script and digest:
                name = part.partition(":")[0]
                yield name, REPOSITORY / script[1], re.findall(r'"([\w.]+)"', digest[1])


@pytest.mark.parametrize(("name", "script", "modules"), [pytest.param(*r, id=r[0]) for r in rules()])
def test_each_rule_names_all_that_its_script_imports(
    package: Path, name: str, script: Path, modules: list[str]
) -> None:
    imported = set(re.findall(r"(?:from|import) (fragmodel\.[\w.]+)", script.read_text()))
    for module in imported - {"fragmodel.workflow.stage"}:  # it only catches what the script prints
        before = code_digest(*modules)
        edit(digests._path(module))
        assert code_digest(*modules) != before, f"rule {name} does not see an edit of {module}"


def test_every_rule_carries_a_digest() -> None:
    written = sum(
        text.read_text().count("    script:\n") for text in sorted((REPOSITORY / "rules").glob("*.smk"))
    )
    assert len(list(rules())) == written >= 12


def test_an_unknown_module_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no module fragmodel\.nowhere"):
        code_digest("fragmodel.nowhere")
