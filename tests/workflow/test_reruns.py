"""A change reruns exactly the stages that it concerns: the table of docs/architecture.md, row by row."""

import copy
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from code_edits import add_remark, change_functions, change_looks
from workflow_copy import COPIED, REPOSITORY, Workflow

pytestmark = pytest.mark.slow

# The jobs of the finished run, and what reads what each makes.
COUNTS = {"ingest": 6, "generate": 2, "generate_without_evidence": 2, "baselines": 2}
READERS = {
    "encoder": ["embed_shard"],
    "ingest": ["windows", "evidence", "audit_leakage"],
    "evidence": ["decoder", "train_model"],
    "windows": ["embed_shard"],
    "decoder": ["train_model"],
    "embed_shard": ["train_model", "baselines"],
    "audit_leakage": ["score"],
    "train_model": ["generate", "generate_without_evidence", "answer_validation"],
    "generate": ["score"],
    "generate_without_evidence": ["score"],
    "answer_validation": ["calibrate"],
    "calibrate": ["score"],
    "baselines": ["score"],
    "score": ["report"],
    "report": [],
}
# With the option before it: another run that starts with these jobs.
Change = Callable[[Workflow], list[str] | None]


def edited(module: str) -> Change:
    return lambda workflow: change_functions(workflow.folder / "fragmodel" / module)


def everywhere(edit: Callable[[Path], None]) -> Change:
    return lambda workflow: [edit(path) for path in (workflow.folder / "fragmodel").rglob("*.py")] and None


def setting(key: str, value: object) -> Change:
    def change(workflow: Workflow) -> None:
        config = copy.deepcopy(workflow.config)
        section = config
        *path, name = key.split(".")
        for part in path:
            section = section.setdefault(part, {})
        section[name] = value
        workflow.configure(config)

    return change


def arguments(*words: str) -> Change:
    return lambda workflow: list(words)


def touched(workflow: Workflow) -> None:
    raw = [*(workflow.folder / "raw").rglob("*.json"), *(workflow.folder / "raw").rglob("*.safetensors")]
    for path in [
        *raw,
        *(workflow.folder / "fragmodel").rglob("*.py"),
        *(workflow.folder / "rules").iterdir(),
    ]:
        path.touch()
    (workflow.folder / "Snakefile").touch()


def cloned(workflow: Workflow) -> list[str]:
    """The sources anew, all of their times that of now, beside the results."""
    clone = workflow.folder / "clone"
    clone.mkdir()
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_symlink():
            (clone / name).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, clone / name, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, clone / name)
    shutil.copy(workflow.folder / "run.yaml", clone)
    for name in ("results", ".snakemake"):
        (workflow.folder / name).rename(clone / name)
    return ["--directory", str(clone), "--snakefile", str(clone / "Snakefile")]


def defaults(workflow: Workflow) -> None:
    config = copy.deepcopy(workflow.config)
    config["training"] |= {"lr_scheduler": "cosine", "workers": 0}
    config["evaluation"]["batch_size"] = 32
    config |= {"report": {"examples": 12}, "seed": 1, "embeddings": {"layer": -1, "store": "results/store"}}
    config["datasets"]["VenusX_Dom"]["format"] = "auto"
    workflow.configure(config)


def messages(workflow: Workflow) -> None:
    for module in ("config/faults.py", "planning/doctor.py", "planning/plan.py"):
        change_functions(workflow.folder / "fragmodel" / module)
    command = workflow.folder / "fragmodel/cli/score.py"
    command.write_text(command.read_text().replace("Score this task type only.", "Another help."))


def new_key(workflow: Workflow) -> None:
    path = workflow.folder / "fragmodel/config/evaluation.py"
    text = path.read_text()
    path.write_text(
        text.replace("class ReportConfig(Section):", "class ReportConfig(Section):\n    colour: str = 'red'")
    )


def replaced(name: str, *, age: float = 0) -> Change:
    """A raw file with one protein less, as old as ``age`` seconds."""

    def change(workflow: Workflow) -> None:
        path = workflow.folder / "raw" / name
        path.write_text(json.dumps(json.loads(path.read_text())[1:]))
        if age:
            os.utime(path, (1e9, 1e9))

    return change


def beside(workflow: Workflow) -> None:
    (workflow.folder / "raw/entry.list").write_text("no table of entries")
    (workflow.folder / "raw/VenusX_Act/notes.txt").write_text("of no split")


def new_weights(workflow: Workflow) -> None:
    path = workflow.folder / "raw/encoder/model.safetensors"
    about = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def without_a_data_set(workflow: Workflow) -> None:
    config = copy.deepcopy(workflow.config)
    del config["datasets"]["VenusX_Act"]
    workflow.configure(config)


def renamed(workflow: Workflow) -> None:
    config = copy.deepcopy(workflow.config)
    config["datasets"] = {
        "VenusX_Dom": config["datasets"]["VenusX_Dom"],
        "Mine_Act": config["datasets"]["VenusX_Act"],
    }
    workflow.configure(config)


def ingest_alone(workflow: Workflow) -> list[str]:
    setting("training.learning_rate", 1e-3)(workflow)
    return ["ingest"]


TABLE: dict[str, Change] = {
    "nothing": arguments(),
    "comments in every file of the package": everywhere(add_remark),
    "docstrings, annotations of functions and layout of every file of the package": everywhere(change_looks),
    "`touch` of raw files, rules and code": touched,
    "results moved beside a fresh clone": cloned,
    "keys set to their defaults": defaults,
    "the results folder in another spelling (`./results/`)": setting("results", "./results/"),
    "the help of a command; code of the config's messages, of `doctor` or `plan`": messages,
    "the other training loop": edited("training/loop.py"),
    "settings of a stage that is off (`alignment`); the page lists all settings": setting(
        "alignment.learning_rate", 0.5
    ),
    "a report module": edited("report/sections/task.py"),
    "a template of the report": lambda workflow: add_remark(
        workflow.folder / "fragmodel/report/templates/style.css"
    ),
    "a new key of the section `report`, with its default": new_key,
    "`report.title`": setting("report.title", "another"),
    "a metric": edited("evaluation/metrics/grounding.py"),
    "what the command `fragmodel score` hands on": edited("cli/score.py"),
    "`evaluation.bootstrap_samples`": setting("evaluation.bootstrap_samples", 60),
    "a baseline": edited("evaluation/baselines/priors.py"),
    "the parser of answers, which baselines use too": edited("evaluation/parse.py"),
    "`evaluation.baselines`": setting("evaluation.baselines", ["majority"]),
    "the search for relatives": edited("homology/search.py"),
    "`evidence.max_lines`": setting("evidence.max_lines", 2),
    "the calibration of confidences": edited("evaluation/calibrate.py"),
    "`evaluation.calibration_records`": setting("evaluation.calibration_records", 5),
    "generation": edited("evaluation/generate.py"),
    "`evaluation.max_new_tokens`": setting("evaluation.max_new_tokens", 9),
    "the collator of packed batches": edited("batching/packing.py"),
    "the model": edited("model/modeling.py"),
    "the launcher of training": edited("training/launch.py"),
    "the training loop in use": edited("training/trainer.py"),
    "`lora.rank`": setting("lora.rank", 4),
    "`training.learning_rate`": setting("training.learning_rate", 1e-3),
    "`adapter.intermediate_dim`": setting("adapter.intermediate_dim", 32),
    "the decoder's stand-in": edited("model/stand_ins.py"),
    "`models.stand_in.vocab_size`": setting("models.stand_in.vocab_size", 500),
    "the encoder's forward pass": edited("embeddings/forward.py"),
    "`embeddings.dtype`": setting("embeddings.dtype", "float32"),
    "weights of a local encoder, in place": new_weights,
    "a reader of raw files": edited("data/readers/nested.py"),
    "`ingest.max_sequence_length`": setting("ingest.max_sequence_length", 300),
    "a raw file of three splits, by an older one": replaced("VenusX_Dom.json", age=1e9),
    "a file in a raw folder": replaced("VenusX_Act/train.json"),
    "a file beside a raw file that nothing reads": beside,
    "a data set removed": without_a_data_set,
    "a data set renamed": renamed,
    "`--forcerun train_model`": arguments("--forcerun", "train_model"),
    "`--forcerun train_model --until train_model`": arguments("--forcerun", "train_model", "--until", "train_model"),
    "target `ingest` after a setting of training": ingest_alone,
}  # fmt: skip


def documented() -> dict[str, str]:
    text = (REPOSITORY / "docs/architecture.md").read_text()
    rows = text.split("| change | jobs |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
    return dict(re.fullmatch(r"\| (.*?) \| (.*?) \|", row).groups() for row in rows)


def jobs_of(text: str, counts: dict[str, int]) -> dict[str, int]:
    """The jobs that a row of the table names: "…" adds all that read what they make."""
    named = dict(re.findall(r"(\w+)(?: \((\d+)\))?", text)) if text != "–" else {}
    pending = [reader for rule in named for reader in READERS[rule]] if text.endswith("…") else []
    rules = dict.fromkeys(named)
    while pending:
        rule = pending.pop()
        rules[rule] = None
        pending += READERS[rule]
    return {rule: int(named.get(rule) or counts.get(rule, 1)) for rule in rules}


@pytest.fixture
def restored(finished, tmp_path):
    """The finished run; config, code, raw files and results are put back afterwards."""
    kept = tmp_path / "kept"
    for name in ("raw", "fragmodel", "rules"):
        shutil.copytree(finished.folder / name, kept / name)
    config = copy.deepcopy(finished.config)
    yield finished
    if (clone := finished.folder / "clone").exists():
        for name in ("results", ".snakemake"):
            (clone / name).rename(finished.folder / name)
        shutil.rmtree(clone)
    for name in ("raw", "fragmodel", "rules"):
        shutil.rmtree(finished.folder / name)
        shutil.copytree(kept / name, finished.folder / name)
    finished.configure(config)


def test_the_page_and_the_test_have_the_same_rows():
    assert list(documented()) == list(TABLE)


@pytest.mark.parametrize("change", list(TABLE))
def test_a_change_reruns_what_it_concerns(restored, change):
    extra = TABLE[change](restored) or []
    counts = COUNTS
    if len(restored.config["datasets"]) == 1:
        counts = {"ingest": 3, "generate": 1, "generate_without_evidence": 1, "baselines": 1}
    assert restored.planned(*extra) == jobs_of(documented()[change], counts)


def test_a_second_run_says_that_nothing_is_to_be_done(restored):
    assert "Nothing to be done" in restored.snakemake().stderr


def test_a_dry_run_says_what_changed(restored):
    setting("lora.rank", 4)(restored)
    said = restored.snakemake("-n").stdout
    assert '"rank": 4' in said and "Params have changed" in said


@pytest.mark.parametrize("target", ["ingest", "embed", "train", "evaluate", "report"])
def test_each_stage_is_a_target(restored, target):
    assert restored.planned(target) == {}


@pytest.mark.parametrize("stage", ["ingest_VenusX_Act/train", "score"])
def test_the_command_in_a_job_s_log_repeats_it(restored, stage):
    log = restored.results / "logs" / f"{stage.replace('ingest_', 'ingest/')}.log"
    (command, *_) = log.read_text().splitlines()
    outputs = re.findall(r"(results/\S+\.(?:parquet|json))", command.split("--output", 1)[1])
    before = {name: (restored.folder / name).read_bytes() for name in outputs}
    assert before and command.startswith("fragmodel ")
    for name in before:
        if name in re.findall(r"--(?:output|rejects|table) (\S+)", command):
            (restored.folder / name).unlink()
    restored.shell(command)
    assert {name: (restored.folder / name).read_bytes() for name in outputs} == before


def test_adding_a_data_set_embeds_only_its_windows(restored):
    config = copy.deepcopy(restored.config)
    raw = restored.folder / "raw"
    known = json.loads((raw / "VenusX_Dom.json").read_text())
    fresh = copy.deepcopy(known[:2])
    fresh[1]["uid"] = "NEW001"
    fresh[1]["sequence"] = "MK" + fresh[1]["sequence"]
    for fragment in fresh[1]["fragments"]:
        for place in fragment["frags"]:
            place["start_position"] += 2
            place["end_position"] += 2
    (raw / "added.json").write_text(json.dumps(fresh))
    path = str(raw / "added.json")
    config["datasets"]["Added_Dom"] = {"train": path, "test": path, "tasks": ["referring_class"]}
    restored.configure(config)
    planned = restored.planned("embed")
    assert planned == {"ingest": 3, "windows": 1, "embed_shard": 1}
    before = {path: path.stat().st_mtime_ns for path in (restored.results / "store").rglob("*.safetensors")}
    restored.snakemake("embed")
    after = {path: path.stat().st_mtime_ns for path in (restored.results / "store").rglob("*.safetensors")}
    assert before.items() <= after.items(), "what was embedded is left alone"
    known_shards = {path.stem for path in before}
    new_rows = sum(
        pq.read_metadata(index).num_rows
        for index in (restored.results / "store").rglob("*.parquet")
        if index.name.partition(".")[0] not in known_shards
    )
    assert new_rows == 1, "one window of the added data set is new"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora": {"rnk": 8}}, "lora.rnk: unknown key; did you mean 'rank'?"),
        ({"evaluation": {"split": "dev"}}, "evaluation.split: must be 'valid' or 'test' (is 'dev')"),
        ({"training": {"batch_size": 0}}, "training.batch_size: must be greater than 0 (is 0)"),
        ({"datasets": {}}, "datasets: name at least one data set"),
        ({"results": ""}, "results: is empty; name a folder"),
    ],
)
def test_a_bad_config_names_key_and_remedy(restored, change, message):
    restored.configure(copy.deepcopy(restored.config) | change)
    result = restored.snakemake("-n", check=False)
    assert result.returncode
    output = result.stdout + result.stderr  # a dry run logs to standard output
    assert message in output
    assert "Traceback" not in output
