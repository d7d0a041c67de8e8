"""What the pages and the cards tell people to type is typed here, beside a finished run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_copy import REPOSITORY, Workflow

pytestmark = pytest.mark.slow

PAGES = sorted([*(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "README.md"])
SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEV"
# What the examples name, as it is called beside the run of the tests.
HERE = {
    "esm2_t33_650M_UR50D": "raw/encoder",
    "results/data/VenusX_Dom/referring_class/test.parquet": "results/data/VenusX_Act/referring_class/test.parquet",
    "--config config/llama.yaml": "--config run.yaml",
    "fragmodel plan  ": "fragmodel plan --config run.yaml  ",
    "results/ --store /shared/store": "results/ --store results/store",
}
# Commands that are shown and not typed here, and where they are.
ELSEWHERE = {
    "…": "stands for what the reader fills in",
    "fragmodel ingest RAW": "forms of arguments; tests/unit/cli",
    "fragmodel ingest results.json": "the tutorial, with the files of InterProScan",
    "fragmodel config check mine.yaml": "the tutorial",
    "results-mine": "the tutorial",
    "--fingerprint F": "needs the fingerprint of a store; tests/unit/embeddings/test_maintenance.py",
    "fragmodel serve": "a server; tests/browser/test_browser_serve.py",
    "config/ablation.yaml": "several runs; tests/unit/planning/test_experiment_plan.py",
    "fragmodel doctor": "ends with status 1 where something is missing; tests/unit/planning",
    "results-other": "two runs; tests/unit/evaluation/test_compare.py",
}


def python_blocks(page: Path) -> list[str]:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in blocks if "snakefile:" not in block]  # that is tests/workflow/test_module.py


def commands(page: Path) -> list[str]:
    """Lines of code blocks that call the package, whole where they go on below."""
    text = page.read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if re.match(r"(    |)fragmodel \w", line)]


def adapted(text: str) -> str:
    for theirs, ours in HERE.items():
        text = text.replace(theirs, ours)
    return text


def run(command: list[str], folder: Path, package: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(package), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def check(done: subprocess.CompletedProcess, what: str) -> str:
    assert done.returncode == 0, f"{what}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def scene(finished: Workflow, tmp_path_factory) -> Path:
    """A folder in which the names of the pages mean something; what is written there leaves the run as it is."""
    folder = tmp_path_factory.mktemp("scene")
    shutil.copytree(finished.results, folder / "results", symlinks=False)
    shutil.copytree(finished.folder / "raw", folder / "raw")
    (folder / "run.yaml").write_text((finished.folder / "run.yaml").read_text())
    (folder / "proteins.fasta").write_text(f">P1\n{SEQUENCE}\n>P2\nMKTAYIAKQR\n")
    (folder / "bin").mkdir()
    (folder / "bin/fragmodel").write_text(f'#!/bin/sh\nexec {sys.executable} -m fragmodel "$@"\n')
    (folder / "bin/fragmodel").chmod(0o755)
    records = json.loads(
        check(
            run(
                [
                    sys.executable,
                    "-c",
                    "import json, pyarrow.parquet as p; t = p.read_table('results/data/VenusX_Act/referring_class/"
                    "test.parquet'); print(json.dumps(t.select(['record_id', 'answer']).to_pylist()))",
                ],
                folder,
                finished.folder,
            ),
            "records",
        )
    )
    lines = ["record_id,text", *(f'{row["record_id"]},"{row["answer"]}"' for row in records)]
    (folder / "answers.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def typed(scene: Path, finished: Workflow) -> str:
    """All commands of the pages in one shell, which ends at the first that fails; the script."""
    lines = [
        adapted(line)
        for page in PAGES
        for line in commands(page)
        if not any(part in line for part in ELSEWHERE)
    ]
    script = "\n".join(
        dict.fromkeys([*lines, "fragmodel merge --model results/training/model --output merged"])
    )
    check(run(["bash", "-e", "-x", "-c", script], scene, finished.folder), script)
    return script


def test_every_command_of_the_pages_runs(typed: str) -> None:
    assert typed.count("fragmodel ") > 12
    for name in ("predict", "export", "merge", "score", "compare", "plan", "verify", "embed", "store ls"):
        assert f"fragmodel {name} " in typed, name


def test_what_is_shown_elsewhere_is_still_shown() -> None:
    lines = [line for page in PAGES for line in commands(page)]
    for part in ELSEWHERE:
        assert any(part in line for line in lines), f"no page shows {part!r} any more"


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.stem)
def test_the_pages_python_runs(page: Path, typed: str, scene: Path, finished: Workflow) -> None:
    program = "\n".join([f"sequence = {SEQUENCE!r}", *map(adapted, python_blocks(page))])
    check(run([sys.executable, "-c", program], scene, finished.folder), program)


@pytest.mark.parametrize("folder", ["results/training/model", "shared"])
def test_each_snippet_of_a_card_runs_by_itself(
    folder: str, typed: str, scene: Path, finished: Workflow
) -> None:
    card = scene / folder / "README.md"
    blocks = python_blocks(card)
    assert blocks
    for block in blocks:
        check(run([sys.executable, "-c", block], scene / folder, finished.folder), block)


def test_a_merged_model_is_loaded_after_the_import_alone(typed: str, scene: Path, finished: Workflow) -> None:
    program = (
        "import fragmodel, sys\n"
        "assert 'transformers' not in sys.modules and 'torch' not in sys.modules\n"
        "from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer\n"
        "model = AutoModelForCausalLM.from_pretrained('merged')\n"
        "assert type(model) is fragmodel.Esm2LlamaInstructForCausalLM\n"
        "assert type(AutoConfig.from_pretrained('merged')) is type(model.config)\n"
        "assert len(AutoTokenizer.from_pretrained('merged')) > 0\n"
    )
    check(run([sys.executable, "-c", program], scene, finished.folder), program)
