"""The digest of a stage's code changes with what the stage can run, and with nothing else."""

import ast
import importlib
import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pytest
from code_edits import change_functions, change_looks
from typer.main import get_command

import fragmodel
from fragmodel.cli import app
from fragmodel.workflow import code_digest as digests
from fragmodel.workflow.code_digest import Symbol, code_digest, reachable

REPOSITORY = Path(fragmodel.__file__).parents[1]
SCORE, TRAINING, INGEST, REPORT, EMBED = (
    "fragmodel.evaluation.score.score",
    "fragmodel.training.run.main",
    "fragmodel.data.ingest.ingest_tasks",
    "fragmodel.report.page.make_report",
    "fragmodel.embeddings.extract.embed_windows",
)
STAGES = (SCORE, TRAINING, INGEST, REPORT, EMBED)


def forget() -> None:
    for cached in (digests._module, digests._text, digests._follow):
        cached.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that may be edited."""
    copy = tmp_path / "fragmodel"
    shutil.copytree(REPOSITORY / "fragmodel", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(digests, "_PACKAGE", copy)
    forget()
    yield copy
    forget()


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text()
    assert change(text) != text, "the edit changes nothing"
    path.write_text(change(text))
    forget()


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        (
            "evaluation/metrics/grounding.py",
            {SCORE, TRAINING},
        ),  # training, where scores choose the checkpoint
        ("training/trainer.py", set()),  # one of the two loops, which the rule names itself
        ("training/arguments.py", {TRAINING}),
        ("data/readers/nested.py", {INGEST, TRAINING}),  # without the workflow, training reads raw files too
        ("embeddings/forward.py", {EMBED}),
        ("errors.py", {SCORE, TRAINING, INGEST, REPORT, EMBED}),  # whoever writes asks: is the disk full?
        ("files.py", {SCORE, TRAINING, INGEST, REPORT, EMBED}),
        ("config/run.py", set()),
        ("config/faults.py", set()),
        ("workflow/jobs.py", set()),
        ("cli/score.py", set()),
        ("__init__.py", set()),  # it re-exports lazily
    ],
)
def test_an_edit_concerns_those_who_can_run_it(package: Path, edited: str, changed: set[str]) -> None:
    before = {stage: code_digest(stage) for stage in STAGES}
    change_functions(package / edited)
    forget()
    assert {stage for stage in STAGES if before[stage] != code_digest(stage)} == changed


def test_training_that_scores_nothing_is_left_alone_by_metrics(package: Path) -> None:
    without = ["fragmodel.evaluation.judge.mean_score"]  # as the rule says
    before = code_digest(TRAINING, without=without)
    change_functions(package / "evaluation/metrics/grounding.py")
    forget()
    assert code_digest(TRAINING, without=without) == before


@pytest.mark.parametrize(
    ("edited", "old", "new", "changed"),
    [
        (
            "tables/contracts.py",
            '"leakage",\n    2',
            '"leakage",\n    3',
            {SCORE},
        ),  # a table that scoring reads
        ("vocabulary.py", "1021", "1022", {INGEST, TRAINING}),
        ("config/evaluation.py", "max_new_tokens: Positive = 128", "max_new_tokens: Positive = 64", set()),
    ],
)
def test_a_constant_concerns_those_who_use_it(
    package: Path, edited: str, old: str, new: str, changed: set[str]
) -> None:
    before = {stage: code_digest(stage) for stage in STAGES}
    rewrite(package / edited, lambda text: text.replace(old, new))
    assert {stage for stage in STAGES if before[stage] != code_digest(stage)} == changed


def test_templates_are_the_report_s(package: Path) -> None:
    before = {stage: code_digest(stage) for stage in STAGES}
    rewrite(package / "report/templates/style.css", lambda text: text + " ")
    assert {stage for stage in STAGES if before[stage] != code_digest(stage)} == {REPORT}


def test_comments_docstrings_layout_and_annotations_are_no_code(package: Path) -> None:
    """Every file of the package, at once."""
    entries = [entry for rule in rules() for entry in rule.entries]
    before = {entry: code_digest(entry) for entry in entries}
    for path in package.rglob("*.py"):
        change_looks(path)
    forget()
    assert before == {entry: code_digest(entry) for entry in entries}


def test_is_that_of_the_package_itself(package: Path) -> None:
    copied = code_digest(SCORE, TRAINING)
    assert re.fullmatch("[0-9a-f]{16}", copied)
    assert copied == code_digest(TRAINING, SCORE)
    assert copied != code_digest(TRAINING)


def test_what_is_never_run_can_be_left_out() -> None:
    readers = {symbol for symbol in reachable(TRAINING) if symbol.module.startswith("fragmodel.data.readers")}
    without = reachable(TRAINING, without=["fragmodel.data.ingest.iter_records"])
    assert readers and not readers & {symbol for symbol in without if symbol.name}


DIGEST = "from fragmodel.files import file_digest\n"


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("from fragmodel.files import write_text as put\ndef f():\n    put()", "write_text"),
        ("from fragmodel import files\ndef f():\n    files.write_text()", "write_text"),
        ("import fragmodel.files\ndef f():\n    fragmodel.files.write_text()", "write_text"),
        ("def f():\n    from fragmodel.files import file_digest\n    file_digest()", "file_digest"),
        (f"{DIGEST}class A:\n    x = file_digest\ndef f(): A()", "file_digest"),
        (f"{DIGEST}class A(file_digest): pass\nclass B(A): pass\ndef f(): B()", "file_digest"),
        (f"{DIGEST}TABLE = {{1: file_digest}}\ndef f(): return TABLE", "file_digest"),
        (f"{DIGEST}def f(digest=file_digest): pass", "file_digest"),
        (f"{DIGEST}@file_digest\ndef f(): pass", "file_digest"),
        (f"{DIGEST}file_digest('x')\ndef f(): pass", "file_digest"),
        (
            f"try:\n    {DIGEST}except ImportError:\n    file_digest = 1\ndef f(): file_digest()",
            "file_digest",
        ),
    ],
)
def test_names_are_followed_however_they_come(package: Path, source: str, used: str) -> None:
    (package / "extra.py").write_text(source)
    forget()
    assert Symbol("fragmodel.files", used) in reachable("fragmodel.extra.f")


# Against what Python really runs


def run_symbols(call: Callable[[], object]) -> set[Symbol]:
    """The top-level functions and classes of the package whose code runs in ``call``."""
    found: set[Symbol] = set()
    folder = f"{REPOSITORY / 'fragmodel'}/"

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(folder) and code.co_qualname[0] != "<":
            module = code.co_filename.removeprefix(folder).removesuffix(".py").replace("/", ".")
            name = f"fragmodel.{module.removesuffix('.__init__')}"
            found.add(Symbol(name, code.co_qualname.split(".")[0]))

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def test_all_that_runs_is_reached(tmp_path: Path) -> None:
    from fragmodel.data.ingest import TaskTables, ingest_tasks
    from fragmodel.embeddings.encoders import build_stand_in
    from fragmodel.embeddings.extract import collect_windows, embed_windows
    from fragmodel.evaluation.baselines import NAMES, run_baselines
    from fragmodel.evaluation.score import score
    from fragmodel.homology.leakage import audit_leakage

    sample = REPOSITORY / "data/sample"
    tasks = ("referring_desc", "referring_class", "grounding_single", "grounding_group")
    made = {
        split: {
            task: TaskTables(
                *(tmp_path / f"{kind}-{task}-{split}.parquet" for kind in ("records", "rejects"))
            )
            for task in tasks
        }
        for split in ("train", "test")
    }
    records = {split: [paths.records for paths in tables.values()] for split, tables in made.items()}
    build_stand_in(tmp_path / "esm2_toy.pt", layers=1, dim=8, heads=2, seed=1)
    windows, manifest = tmp_path / "windows.parquet", tmp_path / "manifest.parquet"
    answers, metrics, audit = tmp_path / "answers.parquet", tmp_path / "m.json", tmp_path / "audit.parquet"
    steps: list[tuple[str, Callable[[], object]]] = [
        *(
            (INGEST, lambda split=split: ingest_tasks(
                [sample / f"VenusX_Motif/{split}.json"], made[split], data_name="VenusX_Motif", split=split
            ))
            for split in ("train", "test")
        ),
        ("fragmodel.embeddings.extract.collect_windows", lambda: collect_windows(records["test"], windows)),
        (EMBED, lambda: embed_windows(
            windows, encoder=tmp_path / "esm2_toy.pt", store=tmp_path / "store", manifest=manifest
        )),
        ("fragmodel.homology.leakage.audit_leakage", lambda: audit_leakage(
            records["train"], records["test"], thresholds=[0.5], json_output=tmp_path / "a.json", table_output=audit
        )),
        ("fragmodel.evaluation.baselines.run_baselines", lambda: run_baselines(
            records["train"], records["test"], names=NAMES, store=None, fingerprint=None, output=answers
        )),
        (SCORE, lambda: score(
            [answers], records["test"], metrics_output=metrics, table_output=tmp_path / "scored.parquet",
            leakage=audit, train=records["train"], bootstrap_samples=10, encode=None,
        )),
    ]  # fmt: skip
    for entry, call in steps:
        missed = run_symbols(call) - reachable(entry)
        assert not missed, f"{entry} runs what its digest does not see: {sorted(missed)}"


# The rules


class Rule(NamedTuple):
    """A rule's command, and what its digest names: the function of the command, and the entries."""

    file: str
    command: str
    function: str
    entries: list[str]


def rules() -> Iterator[Rule]:
    for file in sorted((REPOSITORY / "rules").glob("*.smk")):
        for part in re.split(r"^\s*rule\b", file.read_text(), flags=re.MULTILINE)[1:]:
            command = re.search(r"exec python -m fragmodel --log \{log:q\} ([\w-]+)", part)
            digest = part.partition("code_digest(")[2].partition("shell:")[0]
            if command and digest:
                function = re.search(r'command="([\w.]+)"', digest)[1]
                entries = set(re.findall(r'"(fragmodel[\w.]+)"', digest)) - {function}
                yield Rule(file.stem, command[1], function, sorted(entries))


def imports_of(command: str) -> set[str]:
    """What the function of a command imports of the package, dotted."""
    function = get_command(app).commands[command].callback
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    return {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


BESIDE = ("fragmodel.config.", "fragmodel.errors.", "fragmodel.workflow.", "fragmodel.vocabulary.")
OTHER_WAYS = {  # imported by commands for uses that no rule makes
    "fragmodel.embeddings.extract.embed_sequences",
    "fragmodel.embeddings.sequences.read_sequences",
}


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.command) for rule in rules()])
def test_each_rule_s_digest_covers_its_command(rule: Rule) -> None:
    function = get_command(app).commands[rule.command].callback
    assert f"{function.__module__}.{function.__name__}" == rule.function
    found = reachable(*rule.entries)
    for name in imports_of(rule.command):
        if name.startswith(BESIDE) or name in OTHER_WAYS:
            continue
        module, _, attribute = name.rpartition(".")
        if inspect.ismodule(getattr(importlib.import_module(module), attribute)):
            continue
        assert any(symbol.name == attribute for symbol in found), f"{rule.command} does not see {name}"


def test_what_a_command_hands_on_counts_and_its_help_does_not(package: Path) -> None:
    def digest() -> str:
        return code_digest(SCORE, command="fragmodel.cli.score.score")

    before = digest()
    path = package / "cli" / "score.py"
    rewrite(path, lambda text: text.replace("Score this task type only.", "Another help."))
    assert digest() == before
    rewrite(path, lambda text: text.replace("clean_only=clean_only", "clean_only=False"))
    assert digest() != before


def test_every_rule_carries_a_digest() -> None:
    texts = [path.read_text() for path in sorted((REPOSITORY / "rules").glob("*.smk"))]
    assert len(list(rules())) == sum(text.count("    shell:\n") for text in texts) >= 12
    assert not any(re.search(r"^ +(script|run):", text, re.MULTILINE) for text in texts)


def test_an_unknown_module_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no module fragmodel\.nowhere"):
        code_digest("fragmodel.nowhere.f")
    with pytest.raises(ValueError, match=r"no f in module fragmodel\.files"):
        code_digest("fragmodel.files.f")
