"""`fragmodel predict` and `fragmodel export` from the command line, with a tiny model of the true architecture."""

import gzip
import json

import pytest
from tiny_models import build_model
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.model.trained import save_trained

FASTA = ">one first\nMKTAYIAKQRQISFVKSHFSRQ\n>two\nmstnpkpqrk\nTKRNTNRR*\n"


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict") / "model"
    trained, tokenizer = build_model(tiny.spec(), include_encoder=False)
    save_trained(trained, tokenizer, tiny.spec(), folder)
    return folder


def fragmodel(*arguments: object, stdin: bytes | None = None):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def options(model, *more: object) -> list[object]:
    return ["predict", "--model", model, "--device", "cpu", "--max-new-tokens", "6", *more]


def test_from_standard_input_to_standard_output(model) -> None:
    asked = ("--fasta", "-", "--task", "grounding_group", "--output", "-", "--format", "gff3")
    result = fragmodel(*options(model, *asked), stdin=gzip.compress(FASTA.encode()))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "##gff-version 3"
    assert [line for line in lines if line.startswith("##seq")] == [
        "##sequence-region one 1 22",
        "##sequence-region two 1 18",
    ]
    assert "2 proteins (0 done before)" in result.stderr


def test_one_long_protein_among_windows_and_all_families(model, tmp_path) -> None:
    (tmp_path / "p.fasta").write_text(FASTA)
    asked = ("--fasta", tmp_path / "p.fasta", "--task", "grounding_group", "--output", tmp_path / "o.jsonl")
    result = fragmodel(*options(model, *asked, "--window", "20", "--family", "domain", "--family", "motif"))
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    # 22 residues need two windows of 20 (the first and the last), 18 need one; each is asked for two families.
    assert [len(row["texts"]) for row in rows] == [4, 2]


def test_names_of_classes(model, tmp_path) -> None:
    (tmp_path / "p.fasta").write_text(FASTA)
    asked = ("--fasta", tmp_path / "p.fasta", "--task", "grounding_single", "--output", tmp_path / "o.bed")
    assert fragmodel(*options(model, *asked, "--name", "kinase", "--name", "SH3")).exit_code == 0
    assert (tmp_path / "o.bed").exists()
    refused = fragmodel(*options(model, *asked))
    assert refused.exit_code == 2
    assert refused.stderr.strip().count("\n") == 0 and "needs --name" in refused.stderr


def test_an_interruption_has_a_status_of_its_own(model, tmp_path, monkeypatch) -> None:
    def interrupt(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("fragmodel.prediction.model.FragModel.load", interrupt)
    (tmp_path / "p.fasta").write_text(FASTA)
    asked = ("--fasta", tmp_path / "p.fasta", "--task", "grounding_group", "--output", tmp_path / "o.bed")
    result = fragmodel(*options(model, *asked))
    assert result.exit_code == 130 and "goes on where this one ended" in result.stderr


def test_export_refuses_what_is_no_model(tmp_path) -> None:
    result = fragmodel("export", "--model", tmp_path, "--output", tmp_path / "out")
    assert result.exit_code == 2 and "fragmodel.json is missing" in result.stderr
    assert not (tmp_path / "out").exists()


def test_export_without_its_base(model, tmp_path) -> None:
    output = tmp_path / "out"
    result = fragmodel("export", "--model", model, "--output", output, "--adapter-only")
    assert result.exit_code == 0, result.stderr
    assert not (output / "base").exists() and "trained weights only" in (output / "README.md").read_text()
