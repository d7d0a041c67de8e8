"""Every check and every named normalisation, from the raw file to the table."""

import pytest
from raw_files import SEQUENCE, place, protein, reasons, run

from fragmodel.data.validate import LETTERS, REASONS, Invalid, capitals, clean_sequence, plain_residues


@pytest.mark.parametrize(
    "raw, sequence, flags",
    [
        ("MKTV", "MKTV", ()),
        ("mktv", "MKTV", ("lower_case",)),
        (" MKTV\n", "MKTV", ("surrounding_space",)),
        ("MKTV*", "MKTV", ("trailing_stop",)),
        ("MK TV\nMK", "MKTVMK", ("inner_space",)),
        ("MKJV", "MKXV", ("j_to_x",)),
        ("mkjv* ", "MKXV", ("surrounding_space", "trailing_stop", "lower_case", "j_to_x")),
        ("MUOBZX", "MUOBZX", ()),
    ],
)
def test_normalisations_are_named(raw, sequence, flags):
    assert clean_sequence(raw) == (sequence, flags)


@pytest.mark.parametrize(
    "raw, reason",
    [
        ("", "empty_sequence"),
        (" * ", "empty_sequence"),
        ("MK-TV", "gap"),
        ("MK.TV", "gap"),
        ("MK*TV", "inner_stop"),
        ("MK1TV", "bad_letter"),
        ("MKÄTV", "bad_letter"),
        ("MKßTV", "bad_letter"),  # upper case makes SS, FI and I of these
        ("mkﬁtv", "bad_letter"),
        ("mkıtv", "bad_letter"),
        ("M" * 100_001, "too_long"),
    ],
)
def test_unusable_sequences(raw, reason):
    with pytest.raises(Invalid) as error:
        clean_sequence(raw)
    assert error.value.reason == reason


def test_no_letter_becomes_two():
    """A residue's text that would agree after `upper` only is not that of the slice."""
    assert plain_residues("mkß fi*") == "MKßFI"
    with pytest.raises(Invalid, match="'ß' at residue 3 of the sequence is no residue"):
        clean_sequence("mkßtv")


def test_letters_are_those_that_the_encoder_knows():
    from esm.data import Alphabet

    assert set(Alphabet.from_architecture("ESM-1b").standard_toks) - {".", "-"} == LETTERS


def test_normalised_record_is_accepted_with_its_flags(tmp_path):
    rows, rejects, _ = run(
        tmp_path, [protein(sequence=f" {SEQUENCE.lower()}* ", classes=[("I", "K", [place(3, 7)])])]
    )
    assert rejects == []
    assert rows[0]["sequence"] == SEQUENCE
    assert rows[0]["flags"] == ["lower_case", "surrounding_space", "trailing_stop"]


TEXT = SEQUENCE[3:8]  # at 3-7 in the file's convention


@pytest.mark.parametrize(
    "entry, reason, says",
    [
        ((4, 8, 5, TEXT), "wrong_base", "both positions are 1 less"),
        ((2, 6, 5, TEXT), "wrong_base", "both positions are 1 more"),
        ((3, 8, 5, TEXT), "wrong_base", "ends seem to be exclusive"),
        ((3, 6, 5, TEXT), "wrong_base", "ends seem to be inclusive"),
        ((29, 33, 5, SEQUENCE[28:]), "wrong_base", "both positions are 1 less"),
        ((3, 7, 5, "WWWWW"), "text_mismatch", "the text WWWWW is not the slice"),
        ((3, 7, 6, TEXT), "length_mismatch", "'length' is 6, but the span has 5"),
        ((7, 3, None, None), "empty_span", "ends before it starts"),
        ((30, 33, 4, None), "outside", "leaves the sequence of 33 residues"),
        ((-1, 3, 5, None), "outside", "leaves the sequence"),
        ((3, "x", 5, TEXT), "bad_field", "'end_position' is 'x', expected an integer"),
        ((3, 7.5, 5, TEXT), "bad_field", "expected an integer"),
        ((None, 7, 5, TEXT), "bad_field", "'start_position' is None"),
        ((3, 7, 5, ["A"]), "bad_field", "'sequence' is list, expected text"),
    ],
)
def test_bad_places_are_rejected_one_by_one(tmp_path, entry, reason, says):
    start, end, length, text = entry
    bad = {"start_position": start, "end_position": end, "length": length, "sequence": text}
    rows, rejects, summary = run(
        tmp_path, [protein(), protein("P2", classes=[("IPR2", "C2", [bad, (10, 12)])])]
    )
    assert reasons(rejects) == [reason] and says in rejects[0]["detail"]
    assert (rejects[0]["uid"], rejects[0]["record"]) == ("P2", 2)
    assert rejects[0]["fragment"].startswith("IPR2 ")
    assert (summary.accepted, len(rows)) == (2, 2)  # the other place of the same class stays


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"uid": ""}, "missing_field"),
        ({"uid": None}, "missing_field"),
        ({"sequence": ""}, "empty_sequence"),
        ({"sequence": None}, "empty_sequence"),
        ({"sequence": "MK-TV"}, "gap"),
        ({"sequence": ["M"]}, "bad_field"),
    ],
)
def test_an_unusable_protein_is_rejected_fragment_by_fragment(tmp_path, changes, reason):
    bad = {**protein(classes=[("A", "a", [(1, 2), (4, 5)]), ("B", "b", [(7, 9)])]), **changes}
    rows, rejects, summary = run(tmp_path, [bad, protein("P2")])
    assert reasons(rejects) == [reason] * 3
    assert [row["uid"] for row in rows] == ["P2"] and summary.accepted == 1


@pytest.mark.parametrize(
    "record, reason",
    [
        ("text", "bad_record"),
        (None, "bad_record"),
        ([], "bad_record"),
        (protein(fragments=[]), "no_fragments"),
        (protein(fragments=None), "no_fragments"),
        (protein(fragments="x"), "bad_field"),
        (protein(fragments=["x"]), "bad_field"),
        (protein(classes=[("IPR1", "K", [])]), "bad_field"),
        (protein(classes=[("", "", [(3, 7)])]), "missing_field"),
    ],
)
def test_records_without_fragments_are_accounted_for(tmp_path, record, reason):
    rows, rejects, _ = run(tmp_path, [protein(), record])
    assert reasons(rejects) == [reason] and rejects[0]["record"] == 2 and len(rows) == 1


def test_duplicate_spans_and_records(tmp_path):
    twice = protein(classes=[("IPR1", "K", [(3, 7), (3, 7)])])
    rows, rejects, summary = run(tmp_path, [twice, protein("P2"), protein("P2")])
    assert [(r["reason"], r["record"]) for r in rejects] == [("duplicate", 1), ("duplicate", 3)]
    assert summary.accepted == 2 and len(rows) == 2


def test_one_uid_with_two_sequences(tmp_path):
    other = protein(sequence="W" + SEQUENCE)
    rows, rejects, _ = run(tmp_path, [protein(), other, protein(classes=[("IPR9", "Z", [(20, 25)])])])
    assert [(r["reason"], r["record"]) for r in rejects] == [("uid_conflict", 2)]
    assert len(rows) == 2  # the same sequence again, with other fragments, is no conflict


def test_overlaps_and_conflicting_labels_are_flagged(tmp_path):
    classes = [("IPR1", "K", [(3, 7), (6, 9), (20, 22)]), ("IPR2", "L", [(20, 22)])]
    rows, rejects, _ = run(tmp_path, [protein(classes=classes)], task="referring_class")
    flags = {(tuple(row["position_ref"]), row["answer"]): row["flags"] for row in rows}
    assert rejects == []
    assert flags == {
        ((3, 8), "K"): ["overlap"],
        ((6, 10), "K"): ["overlap"],
        ((20, 23), "K"): ["conflicting_labels"],
        ((20, 23), "L"): ["conflicting_labels"],
    }


def test_every_reason_is_explained():
    """A code that the package uses and the table of reasons does not know would leave the report without words."""
    import re
    from pathlib import Path

    import fragmodel.data

    source = "".join(path.read_text() for path in Path(fragmodel.data.__file__).parent.rglob("*.py"))
    used = set(re.findall(r'(?:Fault|Invalid|refuse)\(\s*(?:\w+, )?"([a-z_]+)"', source))
    used |= set(re.findall(r'return "([a-z]+_[a-z]+)", f?"', source))
    assert len(used) > 20 and used <= set(REASONS), used - set(REASONS)


def test_documentation_lists_every_reason_with_its_meaning():
    from raw_files import ROOT

    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [f"| `{code}` | {meaning} |" for code, meaning in REASONS.items()] == [
        row for row in rows if row.split("`")[1] in REASONS
    ]


def test_only_letters_of_ascii_become_capitals():
    """`str.upper` would make "SS" of "ß", and so another sequence of another length."""
    assert capitals("mkß") == "MKß" and plain_residues("m k\nj*") == "MKX"
