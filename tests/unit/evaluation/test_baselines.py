import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tables import grounding_record, record, write_records
from system_tools import require_tool
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.data.grammar import grounding_answer
from fragmodel.errors import UserError
from fragmodel.evaluation.baselines import NAMES, run_baselines
from fragmodel.evaluation.baselines.nearest import NearestEmbedding
from fragmodel.evaluation.baselines.priors import majority, position_prior, random_span, scaled
from fragmodel.evaluation.parse import parse_spans
from fragmodel.evaluation.references import read_references
from fragmodel.evidence import find
from fragmodel.homology import search
from fragmodel.tables import PREDICTIONS, read_metadata, read_rows
from fragmodel.vocabulary import Span

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def protein(seed, length=120):
    return "".join(random.Random(seed).choices(LETTERS, k=length))


ONE, TWO = protein(1), protein(2)
# A relative of ONE: other residues in front, three missing after residue 40, every tenth changed.
RELATIVE = protein(3, 15) + "".join("W" if i % 10 == 5 else c for i, c in enumerate(ONE[:40] + ONE[43:]))


@pytest.fixture
def train(tmp_path):
    def both(task, **values):
        return [
            record(f"{task}{i}", uid, task, classes=[name], answer=answers[task], sequence=sequence, ref=span)
            for i, (uid, name, sequence, span, answers) in enumerate(
                [
                    (
                        "T1",
                        "Finger",
                        ONE,
                        [50, 70],
                        {"referring_class": "Finger", "referring_desc": "Binds zinc."},
                    ),
                    ("T1", "Loop", ONE, [5, 20], {"referring_class": "Loop", "referring_desc": "A loop."}),
                    ("T2", "Loop", TWO, [5, 20], {"referring_class": "Loop", "referring_desc": "A loop."}),
                ]
            )
        ]

    rows = [
        *both("referring_class"),
        *both("referring_desc"),
        grounding_record("s1", "T1", {"Finger": [(50, 70)]}, "grounding_single", ONE),
        grounding_record("s2", "T2", {"Loop": [(5, 20)]}, "grounding_single", TWO),
        grounding_record("g1", "T1", {"Finger": [(50, 70)], "Loop": [(5, 20)]}, "grounding_group", ONE),
        grounding_record("g2", "T2", {"Loop": [(5, 20)]}, "grounding_group", TWO),
    ]
    return write_records(tmp_path, rows, "train.parquet")


@pytest.fixture
def test_table(tmp_path):
    rows = [
        record(
            "c", "P", "referring_class", classes=["Finger"], answer="Finger", sequence=RELATIVE, ref=[60, 80]
        ),
        record("d", "P", "referring_desc", classes=["Finger"], answer="?", sequence=RELATIVE, ref=[60, 80]),
        grounding_record("s", "P", {"Finger": [(62, 82)]}, "grounding_single", RELATIVE),
        grounding_record("u", "P", {"Unseen": [(62, 82)]}, "grounding_single", RELATIVE),
        grounding_record("g", "P", {"Finger": [(62, 82)]}, "grounding_group", RELATIVE),
        grounding_record("x", "Q", {"Finger": [(2, 8)]}, "grounding_single", protein(9)),
    ]
    return write_records(tmp_path, rows, "test.parquet")


def split_tasks(path):
    tasks = {}
    for reference in read_references([path]).values():
        tasks.setdefault(reference.key.task_type, []).append(reference)
    return tasks


def by_id(texts):
    return {key.record_id: text for key, text in texts.items()}


def test_majority_names_the_most_frequent_class_and_its_description(train, test_table):
    known, asked = split_tasks(train), split_tasks(test_table)
    assert by_id(majority(known["referring_class"], asked["referring_class"])) == {"c": "Loop"}
    assert by_id(majority(known["referring_desc"], asked["referring_desc"])) == {"d": "A loop."}
    assert majority(known["grounding_single"], asked["grounding_single"]) == {}


def test_position_prior_by_hand(train, test_table):
    known, asked = split_tasks(train), split_tasks(test_table)
    texts = by_id(position_prior(known["grounding_single"], asked["grounding_single"]))
    length = len(RELATIVE)  # 132
    # Finger begins at 50/120 of the window and takes 20/120 of it.
    start, size = round(50 / 120 * length), round(20 / 120 * length)
    assert parse_spans(texts["s"], length).spans == [(start, start + size)]
    # An unseen class gets the mean of Finger and Loop.
    start, size = round((50 + 5) / 240 * length), round((20 + 15) / 240 * length)
    assert parse_spans(texts["u"], length).spans == [(start, start + size)]
    group = by_id(position_prior(known["grounding_group"], asked["grounding_group"]))["g"]
    assert [name for name, _ in parse_spans(group, length).groups] == [
        "Loop"
    ]  # 1 class a record in the median
    assert position_prior(known["referring_class"], asked["referring_class"]) == {}


def test_random_span_depends_on_seed_and_record_alone(train, test_table):
    known, asked = split_tasks(train)["grounding_single"], split_tasks(test_table)["grounding_single"]
    texts = random_span(known, asked, seed=1)
    assert random_span(known, list(reversed(asked)), seed=1) == texts
    assert random_span(known, asked, seed=2) != texts
    for reference in asked:
        assert parse_spans(texts[reference.key], reference.length).status == "ok"


@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_scaled_spans_stay_in_the_window_and_keep_their_place(old, new, data):
    start = data.draw(st.integers(0, old - 1))
    span = Span(start, data.draw(st.integers(start + 1, old)))
    place = scaled(span, old, new)
    assert 0 <= place.start < place.end <= new
    if old == new:
        assert place == span


class LetterStore:
    """Encoder states that tell the letters apart; BOS and EOS rows would spoil a mean that took them in."""

    def get(self, sequence):
        import torch

        states = np.eye(len(LETTERS))[[LETTERS.index(letter) for letter in sequence]]
        ends = np.full((1, len(LETTERS)), 1e6)
        return torch.from_numpy(np.concatenate([ends, states, ends])).to(torch.bfloat16)


def test_nearest_embedding_pools_the_fragment_and_skips_bos(tmp_path):
    sequence = "WWWW" + "CCCC" + "AAAA"
    known = [
        record("k1", "T", "referring_class", classes=["W"], answer="W", sequence=sequence, ref=[0, 4]),
        record("k2", "T", "referring_class", classes=["C"], answer="C", sequence=sequence, ref=[4, 8]),
        record("k3", "T", "referring_class", classes=["A"], answer="A", sequence=sequence, ref=[8, 12]),
    ]
    asked = [
        record("a", "P", "referring_class", classes=["C"], answer="C", sequence="GGCG", ref=[2, 3]),
        record("b", "P", "referring_class", classes=["A"], answer="A", sequence="GGCA", ref=[3, 4]),
        record("w", "P", "referring_class", classes=["W"], answer="W", sequence="WGCA", ref=[0, 1]),
    ]
    known, asked = (split_tasks(write_records(tmp_path, rows))["referring_class"] for rows in (known, asked))
    assert by_id(NearestEmbedding(LetterStore())(known, asked)) == {"a": "C", "b": "A", "w": "W"}


def test_nearest_embedding_scales_the_places_of_the_nearest_protein_with_the_class(tmp_path):
    known = [
        grounding_record("k1", "T1", {"X": [(2, 4)]}, "grounding_single", "AAAAAAAACC"),
        grounding_record("k2", "T2", {"X": [(5, 10)]}, "grounding_single", "WWWWWWWWCC"),
        grounding_record("k3", "T3", {"Y": [(0, 1)]}, "grounding_single", "GGGGGGGGGG"),
    ]
    asked = [grounding_record("a", "P", {"x": [(0, 1)]}, "grounding_single", "G" * 18 + "WC")]
    known, asked = (split_tasks(write_records(tmp_path, rows))["grounding_single"] for rows in (known, asked))
    ((_, text),) = NearestEmbedding(LetterStore())(known, asked).items()
    assert parse_spans(text, 20).spans == [(10, 20)]


def test_nearest_embedding_says_none_where_its_neighbour_does_and_for_an_unseen_class(tmp_path):
    known = [
        grounding_record("k1", "T1", {"X": [(2, 4)]}, "grounding_single", "AAAAAAAACC"),
        grounding_record("k2", "T2", {"X": []}, "grounding_single", "WWWWWWWWCC"),
        grounding_record("k3", "T1", {"X": [(2, 4)]}, "grounding_group", "AAAAAAAACC"),
        grounding_record("k4", "T2", {}, "grounding_group", "WWWWWWWWCC"),
    ]
    asked = [
        grounding_record(f"{number}{task}", "P", groups, task, sequence)
        for number, (groups, sequence) in enumerate(
            [({"X": []}, "WWWC"), ({"X": [(0, 1)]}, "AAAC"), ({"Y": []}, "AAAC")]
        )
        for task in ("grounding_single", "grounding_group")
    ]
    known, asked = (split_tasks(write_records(tmp_path, rows)) for rows in (known, asked))
    place = grounding_answer("grounding_single", [("X", [Span(1, 2)])])
    found = {}
    for task in known:
        found |= by_id(NearestEmbedding(LetterStore())(known[task], asked[task]))
    assert found == {
        "0grounding_single": "none",
        "0grounding_group": "none",
        "1grounding_single": place,
        "1grounding_group": f"X: {place}",
        "2grounding_single": "none",
        "2grounding_group": f"X: {place}",
    }


def test_priors_learn_places_from_records_that_have_some(tmp_path):
    """Records about what is absent have no place; the random baseline says none as often as they do."""
    present = [grounding_record(f"p{n}", "T1", {"X": [(50, 60)]}, "grounding_single", ONE) for n in range(3)]
    absent = [grounding_record(f"a{n}", "T2", {"X": []}, "grounding_single", TWO) for n in range(7)]
    asked = [
        grounding_record(f"q{n}", "P", {"X": [(2, 8)]}, "grounding_single", RELATIVE) for n in range(400)
    ]
    tables = (write_records(tmp_path, rows) for rows in (present, [*present, *absent], asked))
    present, known, asked = (split_tasks(table)["grounding_single"] for table in tables)
    assert position_prior(known, asked) == position_prior(present, asked) != {}
    always, often = random_span(present, asked, seed=1), random_span(known, asked, seed=1)
    assert "none" not in always.values()
    said = {key for key, text in often.items() if text == "none"}
    assert len(said) / 400 == pytest.approx(0.7, abs=0.08)
    assert {key: text for key, text in often.items() if key not in said} == {
        key: text for key, text in always.items() if key not in said
    }
    nothing = [record for record in known if record.absent]
    assert position_prior(nothing, asked) == random_span(nothing, asked, seed=1) == {}


@pytest.mark.slow
@pytest.mark.parametrize("tool", [search.MMSEQS, search.BIOPYTHON])
def test_alignment_transfers_class_description_and_places(train, test_table, tmp_path, monkeypatch, tool):
    if tool == search.MMSEQS:
        require_tool("mmseqs", "mmseqs2")
    else:
        monkeypatch.setattr(search.shutil, "which", lambda name: None)
    output = tmp_path / "baselines.parquet"
    run_baselines(
        [train], [test_table], names=["alignment"], store=None, fingerprint=None, output=output, seed=1
    )
    texts = {row["record_id"]: row["text"] for row in read_rows(output, PREDICTIONS)}
    assert (texts["c"], texts["d"]) == ("Finger", "Binds zinc.")
    assert parse_spans(texts["s"], len(RELATIVE)).spans == [(62, 82)]
    assert parse_spans(texts["g"], len(RELATIVE)).groups == [("Finger", [(62, 82)]), ("Loop", [(20, 35)])]
    assert (texts["u"], texts["x"]) == ("none", "none")  # no relative with the class, no relative at all
    assert read_metadata(output)["alignment_tool"] == tool


def test_all_baselines_are_written_in_order_and_the_same_twice(
    train, test_table, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(search.shutil, "which", lambda name: None)  # the fallback starts sooner
    output = tmp_path / "baselines.parquet"
    options = {"store": None, "fingerprint": None, "output": output, "seed": 1}
    run_baselines([train], [test_table], names=NAMES, **options)
    assert "nearest_embedding, linear_probe left out" in caplog.text
    first = output.read_bytes()
    run_baselines([train], [test_table], names=list(reversed(NAMES)), **options)
    assert output.read_bytes() == first
    rows = read_rows(output, PREDICTIONS)
    found = {(row["system"], row["task_type"]) for row in rows}
    assert ("majority", "grounding_single") not in found
    assert ("random_span", "grounding_group") in found
    assert len(rows) == len({(row["system"], row["record_id"]) for row in rows}) == 2 + 6 + 6 + 4 + 4


def test_threads_of_the_command_reach_the_search(train, test_table, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(find, "search", lambda *_, threads, **__: asked.append(threads) or [])
    words = ["--train", train, "--test", test_table, "--name", "alignment", "--threads", 3]
    words += ["--output", tmp_path / "baselines.parquet"]
    result = CliRunner().invoke(app, ["baselines", *map(str, words)])
    assert result.exit_code == 0, result.output
    assert set(asked) == {3}


def test_unknown_baseline_is_refused(train, test_table, tmp_path):
    with pytest.raises(UserError, match="unknown name 'blast'"):
        run_baselines(
            [train],
            [test_table],
            names=["blast"],
            store=None,
            fingerprint=None,
            output=tmp_path / "x",
            seed=1,
        )
