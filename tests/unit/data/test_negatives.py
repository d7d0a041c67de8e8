"""Questions about what proteins do not have: which are asked, of whom, and that each depends on its record alone."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_files import RAW, SAMPLE, SEQUENCE, place, protein, run, run_files

from fragmodel.data.catalogue import Negatives
from fragmodel.data.ingest import iter_records
from fragmodel.data.windows import empty_window
from fragmodel.homology import search
from fragmodel.tables import Record
from fragmodel.vocabulary import Span

ONE = Negatives(share=1.0, hard=0.0)
NAMES = {
    "IPR1": "Kringle",
    "IPR2": "Zinc finger, C2H2-type",
    "IPR3": "EF-hand",
    "IPR4": "Ankyrin",
    "IPR5": "Sushi",
}


def proteins(*class_ids, first=0, **changes):
    """A protein of nested JSON with its own sequence for each of ``class_ids``, which are its classes."""
    found = []
    for number, ids in enumerate(class_ids, start=first):
        sequence = SEQUENCE[number % 20 :] + "ACDEFGHIKLMNPQRSTVWY"[number // 20] * (number % 20 + 20)
        classes = [(each, NAMES.get(each, each), [(3, 7)]) for each in ids.split()]
        found.append(protein(f"P{number}", sequence, classes, **changes))
    return found


def negatives(rows):
    return [row for row in rows if row["answer"] == "none"]


def asked(rows):
    """(uid, class) of the negative records, in order."""
    return sorted((row["uid"], *row["classes"]) for row in negatives(rows))


def test_single_asks_about_a_class_that_the_protein_lacks(tmp_path):
    records = proteins("IPR1 IPR2", "IPR3", "IPR4", "IPR5")
    plain, _, _ = run(tmp_path, records, "grounding_single")
    rows, rejects, summary = run(tmp_path, records, "grounding_single", negatives=ONE)
    added = negatives(rows)
    assert [row for row in rows if row not in added] == plain and rejects == []
    assert summary.accepted == 5 and 4 <= len(added) <= 5  # two records of one protein may draw the same
    assert len({row["record_id"] for row in rows}) == len(rows)
    own = {item["uid"]: {NAMES[entry["interpro_id"]] for entry in item["fragments"]} for item in records}
    for row in added:
        (name,) = row["classes"]
        assert name not in own[row["uid"]] and NAMES[row["class_ids"][0]] == name
        assert row["position_grd"] == [[]] and row["position_ignored"] is None
        assert row["flags"] == ["absent_random"] and name in row["conversation"][-1]["content"]


@pytest.mark.parametrize(
    ("changes", "claim", "expected"),
    [
        ({}, "stated", True),
        ({"completeness": "no"}, "stated", False),
        ({"completeness": None}, "stated", False),
        ({"completeness": True}, "stated", True),
        ({"completeness": "no"}, "all", True),
        ({}, "none", False),
    ],
)
@pytest.mark.parametrize("task", ["grounding_single", "grounding_group"])
def test_only_where_the_source_is_complete(tmp_path, changes, claim, expected, task):
    records = [*proteins("IPR1", "IPR2", **changes), *proteins("", first=9, **changes)]
    rows, _, _ = run(tmp_path, records, task, negatives=ONE._replace(complete=claim))
    assert bool(negatives(rows)) == expected


def test_not_where_a_fragment_was_rejected(tmp_path):
    """It may have been of any class; one that stands there twice leaves nothing open."""
    fine, faulty, again = proteins("IPR1", "IPR2", "IPR3")
    faulty["fragments"][0]["frags"].append(place(4, 400))
    again["fragments"][0]["frags"] *= 2
    rows, rejects, _ = run(tmp_path, [fine, faulty, again], "grounding_single", negatives=ONE)
    assert [row["reason"] for row in rejects] == ["outside", "duplicate"]
    assert {row["uid"] for row in negatives(rows)} == {"P0", "P2"}


@pytest.mark.parametrize(
    "other",
    [
        "Kringle domain",
        "Domain: KRINGLE",
        "kringle",
        "The  domain of Kringle",
        "Kringle-like",
        "Kringle/NO synthase",
    ],
)
def test_not_about_a_class_of_a_like_name(tmp_path, other):
    records = [*proteins("IPR1"), protein("Q", SEQUENCE[::-1], [("IPR9", other, [(3, 7)])])]
    rows, _, _ = run(tmp_path, records, "grounding_single", negatives=ONE)
    assert negatives(rows) == []


def test_nor_about_a_class_of_the_same_accession_or_of_another_kind_of_id(tmp_path):
    records = [
        *proteins("IPR1"),
        protein("Q", SEQUENCE[::-1], [("IPR1", "Old name", [(3, 7)])]),
        protein("R", SEQUENCE[::2], [("UniProtKB-FT:DOMAIN", "Domain: SH3", [(3, 7)])]),
    ]
    rows, _, _ = run(tmp_path, records, "grounding_single", negatives=ONE)
    assert negatives(rows) == []


@pytest.mark.parametrize(
    "general", ["Binding site: substrate", "Binding site", "Binding site: a divalent metal cation"]
)
def test_nor_where_a_general_word_may_be_the_class(tmp_path, general):
    """A substrate may be anything: it is neither asked for, nor is anything asked of a protein that has one."""
    names = ["Binding site: ATP", "Binding site: Zn(2+)", general]
    records = [
        protein(f"P{n}", SEQUENCE + "M" * n, [("UniProtKB-FT:BINDING", name, [(3, 7)])])
        for n, name in enumerate(names)
    ]
    rows, _, _ = run(tmp_path, records, "grounding_single", negatives=ONE)
    assert asked(rows) == [("P0", names[1]), ("P1", names[0])]


def test_nor_in_the_words_of_another_time(tmp_path):
    """UniProt named metals and nucleotides by features of their own until 2022: one entry has one vocabulary."""
    classes = [
        [("UniProtKB-FT:METAL", "Metal binding: Magnesium"), ("UniProtKB-FT:BINDING", "Binding site: Heme")],
        [("UniProtKB-FT:METAL", "Metal binding: Zinc")],
        [("UniProtKB-FT:BINDING", "Binding site: Mg(2+)")],
        [("UniProtKB-FT:BINDING", "Binding site: Zn(2+)")],
    ]
    records = [
        protein(f"P{n}", SEQUENCE + "M" * n, [(*each, [(3, 7)]) for each in found])
        for n, found in enumerate(classes)
    ]
    rows, _, _ = run(tmp_path, records, "grounding_single", negatives=ONE._replace(share=9.0))
    assert set(asked(rows)) == {
        ("P0", "Metal binding: Zinc"),
        ("P1", "Metal binding: Magnesium"),
        ("P2", "Binding site: Heme"),
        ("P2", "Binding site: Zn(2+)"),
        ("P3", "Binding site: Heme"),
        ("P3", "Binding site: Mg(2+)"),
    }


def test_nor_about_what_another_record_of_the_sequence_has(tmp_path):
    first, second = proteins("IPR1", "IPR2")
    copy = proteins("IPR2", first=2)[0]
    copy["sequence"] = first["sequence"]
    copy["fragments"][0]["frags"] = [place(3, 7, first["sequence"])]
    copy["completeness"] = "no"
    rows, _, _ = run(tmp_path, [first, second, copy], "grounding_single", negatives=ONE)
    assert asked(rows) == [("P1", "Kringle")]


def test_the_order_of_the_records_does_not_matter(tmp_path):
    path = SAMPLE / "VenusX_Act" / "train.json"
    records = json.loads(path.read_text())
    options = {"data_name": "VenusX_Act", "negatives": Negatives(0.7), "split": "train"}
    rows = {
        task: run(tmp_path, records, task, **options)[0] for task in ("grounding_single", "grounding_group")
    }
    for task, found in rows.items():
        turned, _, _ = run(tmp_path, records[::-1], task, **options)
        assert sorted(turned, key=str) == sorted(found, key=str)
    other, _, _ = run(tmp_path, records, "grounding_single", **options, seed=2)
    assert asked(other) != asked(rows["grounding_single"])
    assert len(asked(rows["grounding_single"])) > 10


def test_another_record_changes_no_other_s_negatives(tmp_path):
    records = json.loads((SAMPLE / "VenusX_Motif" / "train.json").read_text())
    options = {"data_name": "VenusX_Motif", "negatives": Negatives(1.0), "task": "grounding_single"}
    for left_out in range(0, len(records), 5):
        classes = {entry["category"] for entry in records[left_out]["fragments"]}
        known = {
            entry["category"]
            for n, item in enumerate(records)
            for entry in item["fragments"]
            if n != left_out
        }
        rest, _, _ = run(tmp_path, records[:left_out] + records[left_out + 1 :], **options)
        rows, _, _ = run(tmp_path, records, **options)
        others = [pair for pair in asked(rows) if pair[0] != records[left_out]["uid"]]
        changed = set(others) - set(asked(rest))
        assert {name for _, name in changed} <= classes - known  # a class that was not there before


def test_classes_of_relatives_are_those_of_proteins_that_an_alignment_finds(tmp_path, monkeypatch):
    """Planted relatives: domains of 60 residues, of which each protein has its own copy with 15 % changed."""
    monkeypatch.setattr(search.shutil, "which", lambda name: None)  # the fallback starts sooner
    dice, letters = random.Random(1), "ACDEFGHIKLMNPQRSTVWY"
    domains = {each: dice.choices(letters, k=60) for each in NAMES}
    built = [["IPR1"], ["IPR1", "IPR3"], ["IPR4"], ["IPR4", "IPR5", "IPR3"], ["IPR2"]] * 8
    records = []
    for number, ids in enumerate(built):
        copies = [
            [dice.choice(letters) if dice.random() < 0.15 else r for r in domains[each]] for each in ids
        ]
        classes = [(each, NAMES[each], [(60 * k, 60 * k + 59)]) for k, each in enumerate(ids)]
        records.append(protein(f"P{number}", "".join(map("".join, copies)), classes))
    rows, _, _ = run(tmp_path, records, "grounding_single", negatives=Negatives(share=5.0, hard=1.0))
    drawn = {
        (" ".join(built[int(row["uid"][1:])]), row["class_ids"][0])
        for row in negatives(rows)
        if row["flags"] == ["absent_relative"]
    }
    sequences = [each["sequence"] for each in records]
    related = {
        (" ".join(built[hit.query]), each)
        for hit in search.search(sequences, sequences)
        for each in set(built[hit.target]) - set(built[hit.query])
    }
    assert drawn == related and ("IPR1", "IPR3") in drawn and ("IPR1", "IPR5") not in drawn


def test_the_share_is_that_of_the_positive_records(tmp_path):
    names = [f"Class{chr(97 + n)}" for n in range(20)]
    records = [protein(f"P{n}", SEQUENCE + "M" * n, [("", names[n % 20], [(3, 7)])]) for n in range(200)]
    for share, low, high in ((0.3, 40, 80), (1.0, 200, 200), (2.5, 460, 540)):
        rows, _, _ = run(tmp_path, records, "grounding_single", negatives=Negatives(share))
        assert low <= len(negatives(rows)) <= high and len(rows) - len(negatives(rows)) == 200


def test_group_asks_proteins_without_a_fragment(tmp_path):
    records = [*proteins("IPR1", "IPR2 IPR3", "IPR4", "IPR5"), *proteins("", "", "", "", "", first=10)]
    rows, rejects, summary = run(tmp_path, records, "grounding_group", negatives=ONE._replace(share=0.5))
    added = negatives(rows)
    assert len(added) == 2 and len(rows) == 6  # half of four
    for row in added:
        assert (row["classes"], row["position_grd"], row["flags"]) == ([], [], ["absent_family"])
        assert "domain" in row["conversation"][-1]["content"]
    assert {row["reason"] for row in rejects} == {"no_fragments"} and summary.accepted + len(rejects) == 5 + 5
    assert not {row["uid"] for row in added} & {row["uid"] for row in rejects}
    more, _, _ = run(
        tmp_path, records + proteins("", first=20), "grounding_group", negatives=ONE._replace(share=0.5)
    )
    assert len({row["uid"] for row in added} & {row["uid"] for row in negatives(more)}) >= 1
    positive, _, _ = run(
        tmp_path, records + proteins("IPR1 IPR2", first=21), "grounding_group", negatives=ONE
    )
    assert {row["uid"] for row in added} <= {row["uid"] for row in negatives(positive)}


def test_group_asks_windows_without_a_fragment(tmp_path):
    sequence = (SEQUENCE * 40)[:1200]
    long = protein("L", sequence, [("IPR1", "Kringle", [(10, 40), (150, 180)])])
    rows, _, _ = run(tmp_path, [long], "grounding_group", negatives=ONE, max_sequence_length=300)
    (row,) = negatives(rows)
    assert row["start"] >= 181 and len(row["sequence"]) == 300 and row["position_ignored"] is None
    # Another record of the protein may have its fragment there.
    other = protein("L", sequence, [("IPR2", "Zinc", [(600, 640)])])
    rows, _, _ = run(tmp_path, [long, other], "grounding_group", negatives=ONE, max_sequence_length=300)
    assert negatives(rows) == []


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 30)), max_size=5), st.integers(1, 130))
def test_an_empty_window_shows_nothing(pairs, max_length):
    spans = [Span(start, min(100, start + size)) for start, size in pairs]
    window = empty_window(spans, 100, max_length, uid="P", seed=1)
    if window is None:
        assert spans
    else:
        assert window.start >= 0 and window.end <= 100 and window.length == min(100, max_length)
        assert not set(range(*window)) & {n for span in spans for n in range(*span)}


def test_a_scan_is_complete_for_what_it_finds(tmp_path):
    """Each file knows the entries that it found itself, whatever another file found."""
    files = [RAW / "agreement" / "scan.json"]
    options = {"task": "grounding_single", "data_name": "VenusX_Dom", "negatives": ONE}
    rows, _, _ = run_files(files, tmp_path, **options)
    assert negatives(rows)
    results = json.loads(files[0].read_text())
    single = tmp_path / "one.json"
    first = next(
        item
        for item in (results["results"] if isinstance(results, dict) else results)
        if {item["xref"][0]["id"]} & {row["uid"] for row in rows}
    )
    single.write_text(json.dumps([first]))
    rows, _, _ = run_files([single], tmp_path, **options)
    assert rows and negatives(rows) == []  # nothing but its own classes is known there


@pytest.mark.parametrize(
    ("name", "task"), [("entries.dat", "grounding_single"), ("entries.json", "grounding_group")]
)
def test_reviewed_entries_of_uniprot_are_complete(tmp_path, name, task):
    text = (RAW / "uniprot" / name).read_text()
    if name == "entries.json":
        entries = json.loads(text)
        entries = entries["results"] if isinstance(entries, dict) else entries
        entries[1]["features"] = []
        text = json.dumps(entries)
    options = {"task": task, "data_name": "VenusX_BindI", "negatives": ONE}
    rows, _, _ = run(tmp_path, text, name=name, **options)
    assert negatives(rows)
    text = text.replace("Reviewed;", "Unreviewed;").replace("UniProtKB reviewed (", "UniProtKB unreviewed (")
    rows, _, _ = run(tmp_path, text, name=name, **options)
    assert rows and negatives(rows) == []


def test_formats_without_a_claim_give_none(tmp_path):
    files = [SAMPLE / "VenusXcsv_Act" / "train.csv"]
    options = {"task": "grounding_single", "data_name": "VenusX_Act"}
    rows, _, _ = run_files(files, tmp_path, **options, negatives=ONE)
    assert rows and negatives(rows) == []
    rows, _, _ = run_files(files, tmp_path, **options, negatives=ONE._replace(complete="all"))
    assert negatives(rows)


def test_records_are_the_same_without_the_tables(tmp_path):
    path = SAMPLE / "VenusX_Act" / "test.json"
    options = {"task": "grounding_single", "data_name": "VenusX_Act", "negatives": ONE}
    rows, _, _ = run_files([path], tmp_path, **options)
    made = [item._asdict() for item in iter_records([path], **options) if isinstance(item, Record)]
    assert [row["record_id"] for row in made] == [row["record_id"] for row in rows]
    assert asked(made) == asked(rows) != []
