"""One verdict before the first job: a line for each mistake, by `config check`, `doctor` and Snakemake."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from raw_files import protein
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.config.run import parse_config
from fragmodel.embeddings.kinds import KINDS
from fragmodel.model.decoders import FAMILIES
from fragmodel.planning import preflight as checks
from fragmodel.planning import raw_files
from fragmodel.planning.preflight import preflight
from fragmodel.vocabulary import DECODER_TYPES, ENCODER_TYPES

REPOSITORY = Path(__file__).parents[3]
OTHER = [("IPR2", "SH2 domain", [(3, 7)])]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    Path("train.json").write_text(json.dumps([protein(), protein("P2")]))
    Path("other.json").write_text(json.dumps([protein("P3", classes=OTHER)]))
    Path("empty.json").write_text(json.dumps([protein("P4", fragments=[])]))
    Path("bert").mkdir()
    Path("bert/config.json").write_text('{"model_type": "bert"}')
    Path("llama").mkdir()
    Path("llama/config.json").write_text('{"model_type": "llama", "hidden_size": 384}')
    return tmp_path


def config(**sections):
    data = {"train": "train.json", "test": "train.json"} | sections.pop("data", {})
    return {"datasets": {"X_Dom": data}, **sections}


MISTAKES = [
    ({"models": {"encoder": "esm9"}}, "models.encoder", "esm9: no such file or folder, no hub id"),
    (
        {"models": {"encoder": "esm2_t33_650M_UR50D"}},
        "models.encoder",
        "is not in torch's cache; download it to",
    ),
    (
        {"models": {"encoder": "bert"}},
        "models.encoder",
        "bert: holds a 'bert' model; expected one of esm, esmc, t5",
    ),
    ({"models": {"encoder": "models/gone.pt"}}, "models.encoder", "models/gone.pt: no such file"),
    ({"models": {"encoder_revision": "main"}}, "models.encoder_revision", "stand-in is no hub id"),
    ({"models": {"decoder": "/nowhere/llama"}}, "models.decoder", "/nowhere/llama: no such folder"),
    ({"models": {"decoder": "."}}, "models.decoder", "has no config.json that can be read"),
    ({"models": {"decoder": "bert"}}, "models.decoder", "bert: holds a 'bert' model; expected one of llama"),
    (
        {"adapter": {"num_perceiver_heads": 7}},
        "adapter.num_perceiver_heads",
        "7 does not divide the fragment",
    ),
    (
        {"models": {"decoder": "llama"}, "adapter": {"num_perceiver_heads": 256}},
        "adapter.num_perceiver_heads",
        "256 does not divide the fragment adapter's width (384); try 192",
    ),
    (
        {"evaluation": {"model": "gone"}},
        "evaluation.model",
        "gone: no such folder; name a run's training/model",
    ),
    ({"evaluation": {"model": "bert"}}, "evaluation.model", "bert: holds no trained model"),
    (
        {"evaluation": {"annotations": {"Pfam": "gone.tbl"}}},
        "evaluation.annotations",
        "gone.tbl: no such file",
    ),
    ({"training": {"report_to": ["wandb"]}}, "training.report_to", "is not installed: pip install wandb"),
    ({"training": {"decoder_bits": 4}}, "training.decoder_bits", "pip install 'fragmodel[quantised]'"),
    (
        {"training": {"optimizer": "adamw_bnb_8bit"}},
        "training.optimizer",
        "pip install 'fragmodel[quantised]'",
    ),
    ({"evaluation": {"bertscore": "gone"}}, "evaluation.bertscore", "gone: no such folder"),
    ({"data": {"valid": "gone.json"}}, "datasets.X_Dom.valid", "gone.json: no such file"),
    ({"data": {"test": "empty.json"}}, "datasets.X_Dom.test", "no record for the test split of X_Dom"),
    ({"data": {"train": "llama/config.json"}}, "datasets.X_Dom.train", "format not recognised"),
    ({"data": {"family": "motif", "train": ["bert"]}}, "datasets.X_Dom.train", "bert"),
]


@pytest.mark.parametrize(("changes", "subject", "says"), MISTAKES)
def test_a_mistake_is_told_in_one_line(folder, changes, subject, says, monkeypatch):
    absent = {"wandb", "bitsandbytes"}
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name in absent else find_spec(name))
    (fault,) = [each for each in preflight(parse_config(config(**changes))) if each.state == "missing"]
    assert fault.subject == subject and says in fault.text and "\n" not in fault.text


@pytest.mark.parametrize(
    "models",
    [
        {},
        {"encoder": "facebook/esm2_t6_8M_UR50D", "decoder": "llama"},
        {"decoder": "meta-llama/Llama-3.1-8B"},
    ],
)
def test_a_run_without_faults(folder, models):
    assert [*preflight(parse_config(config(models=models, data={"valid": []})))] == []


def test_classes_that_training_never_has_are_noted(folder):
    (note,) = preflight(
        parse_config(config(data={"train": ["train.json"], "test": ["train.json", "other.json"]}))
    )
    assert (note.subject, note.state) == ("datasets.X_Dom", "note")
    assert (
        "training has none of 1 of the 2 classes of the test records" in note.text
        and "SH2 domain" in note.text
    )


def test_of_large_files_the_beginning_is_read(folder, monkeypatch):
    monkeypatch.setattr(raw_files, "READ_BYTES", 10)
    (note,) = preflight(parse_config(config(data={"test": "empty.json"})))
    assert note.state == "note" and "their beginnings are read here" in note.text
    faults = preflight(parse_config(config(data={"test": "llama/config.json"})))
    assert "format not recognised" in next(faults).text


def test_files_of_another_workflow_may_be_absent(folder):
    run = parse_config(config(data={"train": "gone.json"}))
    assert [each.state for each in preflight(run)] == ["missing"] and not [
        *preflight(run, made_elsewhere=True)
    ]


TWICE = "datasets:\n  X_Dom: {train: train.json, test: train.json}\n  X_Dom: {train: other.json, test: other.json}\n"
SEVERAL = config(
    data={"valid": "gone.json"},
    models={"encoder": "esm9", "decoder": "/nowhere/llama"},
    adapter={"num_perceiver_heads": 7},
    evaluation={"bertscore": "gone"},
)
SEVERAL["datasets"]["Y_Dom"] = {"train": "train.json", "test": "empty.json"}


@pytest.mark.parametrize(
    ("text", "good", "says"),
    [
        (yaml.safe_dump(SEVERAL), False, ["esm9:", "/nowhere/llama:", "7 does not", "gone:", "gone.json:"]),
        (TWICE, False, ["datasets.X_Dom stands in line 2 and again in line 3"]),
        (
            yaml.safe_dump(config(data={"test": "other.json"})),
            True,
            ["training has none of 1 of the 1 classes"],
        ),
    ],
)
def test_three_callers_give_one_verdict(folder, text, good, says):
    """What is to be told of a run, as `config check`, `doctor` and `snakemake -n` see it."""
    Path("run.yaml").write_text(text)
    checked = CliRunner().invoke(app, ["config", "check", "run.yaml"])
    examined = CliRunner().invoke(app, ["doctor", "--config", "run.yaml", "--profile", "default"])
    snakemake = [sys.executable, "-m", "snakemake", "-n", "-s", str(REPOSITORY / "Snakefile"), "--cores", "1"]
    planned = subprocess.run([*snakemake, "--configfile", "run.yaml"], capture_output=True, text=True)
    assert [checked.exit_code == 0, examined.exit_code == 0, planned.returncode == 0] == [good] * 3
    told = [
        f"{checked.exception or ''}{checked.output}",
        f"{examined.exception or ''}{examined.output}",
        planned.stdout + planned.stderr,
    ]
    for line in says:
        assert [line in each for each in told] == [True] * 3, line
    assert "Traceback" not in told[2]


def test_types_of_models_are_those_that_can_be_loaded():
    assert set(ENCODER_TYPES) == set(KINDS) and set(DECODER_TYPES) == set(FAMILIES)
