"""From FASTA to file: order, long proteins, resuming, and mistakes in the input."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from stub_model import StubModel

from fragmodel.errors import UserError
from fragmodel.model.trained import SPEC_FILE, WEIGHTS_FILE
from fragmodel.prediction.run import check_proteins, make_task, predict

GROUP = make_task("grounding_group", [], [], [])
# The run of W at 60 to 70 lies in several windows of 40 residues.
PROTEINS = {"short": "AAAWWAA", "none": "MKV" * 5, "long": "A" * 60 + "W" * 10 + "G" * 50, "last": "WAW"}
PLACES = {"short": [(3, 5)], "none": [], "long": [(60, 70)], "last": [(0, 1), (2, 3)]}


@pytest.fixture
def model_dir(tiny, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / SPEC_FILE).write_text(tiny.spec().model_dump_json())
    (folder / WEIGHTS_FILE).write_bytes(b"weights")
    return folder


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "proteins.fasta", PROTEINS)


def write_fasta(path: Path, proteins: dict[str, str]) -> Path:
    path.write_text("".join(f">{uid} some words\n{s[:50]}\n{s[50:]}\n" for uid, s in proteins.items()))
    return path


def places(output: Path) -> dict[str, list[tuple[int, int]]]:
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    return {row["id"]: [(a["start"], a["end"]) for a in row["annotations"]] for row in rows}


def test_every_protein_in_order_and_long_ones_merged(model_dir, fasta, tmp_path):
    model, output = StubModel(), tmp_path / "out.jsonl"
    counts = predict(lambda: model, model_dir, fasta, GROUP, output)
    assert places(output) == PLACES and list(places(output)) == list(PROTEINS)
    assert max(len(question.sequence) for question in model.asked) == 40
    unread = [q for q in model.asked if q.family == "motif" or "W" not in q.sequence]
    assert counts == {"proteins": 4, "resumed": 0, "found": 4, "unreadable": len(unread), "left_out": 0}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("out.gff3", "##gff-version 3\n##sequence-region P 1 9\n# none: P domain\n# none: P motif\n"),
        ("out.bed", ""),
        (
            "out.tsv",
            "id\tlength\tclass\tfamily\tstart\tend\tconfidence\tclass_ids\n"
            "P\t9\tnone\tdomain\t\t\t\t\nP\t9\tnone\tmotif\t\t\t\t\n",
        ),
    ],
)
def test_an_answer_that_there_is_nothing_is_said_and_is_no_place(
    model_dir, tmp_path, monkeypatch, name, expected
):
    monkeypatch.setattr(StubModel, "_text", lambda self, question: "none")
    fasta, output = write_fasta(tmp_path / "one.fasta", {"P": "AAAWWAAKM"}), tmp_path / name
    counts = predict(StubModel, model_dir, fasta, GROUP, output)
    assert output.read_text() == expected
    assert counts == {"proteins": 1, "resumed": 0, "found": 0, "unreadable": 0, "left_out": 0}


def test_an_interrupted_run_goes_on(model_dir, tmp_path):
    proteins = {f"P{i}": "A" * i + "WW" for i in range(38)}
    fasta, output = write_fasta(tmp_path / "many.fasta", proteins), tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        predict(lambda: StubModel(fail_after=30), model_dir, fasta, GROUP, output)
    assert not output.exists()
    journal = tmp_path / ".out.jsonl.journal"
    journal.write_bytes(journal.read_bytes()[:-9])  # the machine died in the middle of a line
    second = StubModel()
    counts = predict(lambda: second, model_dir, fasta, GROUP, output)
    assert counts["resumed"] > 0 and len(second.asked) == 2 * (38 - counts["resumed"])
    assert not journal.exists()
    whole = tmp_path / "whole.jsonl"
    predict(StubModel, model_dir, fasta, GROUP, whole)
    assert output.read_bytes() == whole.read_bytes()


def test_other_weights_begin_anew(model_dir, fasta, tmp_path):
    output = tmp_path / "out.jsonl"
    fasta = write_fasta(fasta, {f"P{i}": "AWW" for i in range(38)})
    with pytest.raises(KeyboardInterrupt):
        predict(lambda: StubModel(fail_after=30), model_dir, fasta, GROUP, output)
    (model_dir / WEIGHTS_FILE).write_bytes(b"other weights")
    assert predict(StubModel, model_dir, fasta, GROUP, output)["resumed"] == 0


def test_a_run_that_ends_before_the_first_protein_leaves_nothing(model_dir, fasta, tmp_path):
    def fails():
        raise UserError("no such device")

    with pytest.raises(UserError, match="no such device"):
        predict(fails, model_dir, fasta, GROUP, tmp_path / "results" / "out.gff3")
    assert not list((tmp_path / "results").iterdir())


def test_standard_output_needs_a_format(model_dir, fasta):
    with pytest.raises(UserError, match=r"--output -: .*add --format gff3, bed, tsv, jsonl"):
        predict(StubModel, model_dir, fasta, GROUP, Path("-"))


def test_referring_answers_are_about_the_right_residues(model_dir, fasta, tmp_path):
    task = make_task("referring_desc", [], ["motif"], ["short:4-5", "long:61-70", "long:1-60"])
    output, model = tmp_path / "out.tsv", StubModel()
    predict(lambda: model, model_dir, fasta, task, output)
    rows = [line.split("\t") for line in output.read_text().splitlines()]
    named = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert [(r["id"], r["start"], r["end"], r["text"]) for r in named[:2]] == [
        ("short", "4", "5", "WW"),
        ("long", "61", "70", "W" * 10),
    ]
    # 60 residues do not fit a window of 40: the part that was shown is told.
    assert int(named[2]["shown_end"]) - int(named[2]["shown_start"]) + 1 == 40
    assert {question.family for question in model.asked} == {"motif"}


def test_packed_input_gives_the_same(model_dir, fasta, tmp_path):
    packed = tmp_path / "proteins.fasta.gz"
    packed.write_bytes(gzip.compress(fasta.read_bytes()))
    for source in (fasta, packed):
        predict(StubModel, model_dir, source, GROUP, tmp_path / f"{source.name}.jsonl")
    assert (tmp_path / "proteins.fasta.jsonl").read_bytes() == (
        tmp_path / "proteins.fasta.gz.jsonl"
    ).read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\nMK\n>b\nMK1V\n", "record 2 'b': '1' at residue 3.*mend or remove it"),
        (">a\nMK\n>a\nMK\n", "record 2: the name 'a' came before"),
        (">\nMK\n", "record 1 has no name"),
        (">a\n\n>b\nMK\n", "record 1 'a': .*no residues"),
        (">a\nMK\nPlease try again later.\n", "record 1 'a': 'Please try again later.' is no sequence"),
        ("MKV\n", "not FASTA"),
        ("", "not FASTA"),
    ],
)
def test_bad_proteins_stop_before_the_model_is_loaded(text, message, model_dir, tmp_path):
    fasta, output = tmp_path / "bad.fasta", tmp_path / "out.gff3"
    fasta.write_text(text)
    with pytest.raises(UserError, match=message):
        predict(lambda: pytest.fail("loaded"), model_dir, fasta, GROUP, output)
    assert not output.exists()


def test_fragments_of_unknown_proteins_are_a_mistake(model_dir, fasta, tmp_path):
    task = make_task("referring_class", [], [], ["nobody:1-2"])
    with pytest.raises(UserError, match=r"no protein 'nobody' in .*proteins\.fasta"):
        predict(StubModel, model_dir, fasta, task, tmp_path / "out.tsv")


@pytest.mark.parametrize(
    "arguments",
    [
        ("grounding_single", [], [], []),
        ("grounding_group", ["x"], [], []),
        ("referring_desc", [], [], []),
        ("grounding_group", [], [], ["P1:1-2"]),
        ("grounding_single", ["x"], ["domain"], []),
        ("referring_desc", [], ["domain", "motif"], ["P1:1-2"]),
    ],
)
def test_options_must_fit_the_task(arguments):
    with pytest.raises(UserError, match=f"--task {arguments[0]} (needs|takes)"):
        make_task(*arguments)


def test_nucleotides_are_refused_and_short_or_mixed_proteins_are_not(tmp_path):
    proteins = {"peptide": "GAGAGA", "protein": "ACGT" * 20 + "W"}
    assert check_proteins(write_fasta(tmp_path / "in.fasta", proteins), "in.fasta", GROUP)[0] == 2
    gene = write_fasta(tmp_path / "gene.fasta", proteins | {"gene": "ATGGCACGTAACGTTAACGGCATTACGGCATACG"})
    with pytest.raises(
        UserError, match=r"gene\.fasta: record 3 'gene': .*nucleotides; give the translated protein"
    ):
        check_proteins(gene, gene, GROUP)


def test_the_function_of_each_protein(model_dir, fasta, tmp_path):
    """A row a protein; of one that is longer than the window a part is shown, whichever it is."""
    model, output = StubModel(), tmp_path / "out.jsonl"
    counts = predict(lambda: model, model_dir, fasta, make_task("function", [], [], []), output)
    rows = {row["id"]: row for row in map(json.loads, output.read_text().splitlines())}
    assert list(rows) == list(PROTEINS) and counts["found"] == 4
    for uid, sequence in PROTEINS.items():
        assert (rows[uid]["start"], rows[uid]["end"]) == (0, len(sequence))
        assert rows[uid]["shown_end"] - rows[uid]["shown_start"] == min(len(sequence), 40)
    assert {question.task for question in model.asked} == {"function"}
    said = model.function(PROTEINS["short"])
    assert (said.span, said.shown, said.text) == ((0, 7), (0, 7), rows["short"]["text"])
    predict(lambda: model, model_dir, fasta, make_task("function", [], [], []), tmp_path / "out.tsv")
    assert len((tmp_path / "out.tsv").read_text().splitlines()) == 1 + 4


def test_places_of_little_confidence_are_left_out_and_counted(model_dir, tmp_path, monkeypatch):
    class Sure(StubModel):
        def answer(self, questions, **options):
            answers = super().answer(questions, **options)
            return [
                replace(a, places=(0.2 if q.family == "motif" else 0.3,))
                for q, a in zip(questions, answers, strict=True)
            ]

    monkeypatch.setattr(StubModel, "_text", lambda self, question: "(1,4)")
    fasta = write_fasta(tmp_path / "one.fasta", {"P": "AAAWWAAKM"})
    task = make_task("grounding_group", [], ["domain", "motif"], [], min_confidence=0.25)
    counts = predict(Sure, model_dir, fasta, task, tmp_path / "out.jsonl")
    (row,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [place["confidence"] for place in row["annotations"]] == [pytest.approx(0.3)]
    assert (counts["found"], counts["left_out"], row["left_out"]) == (1, 1, 1)
