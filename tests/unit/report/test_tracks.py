"""Fragments along a protein, and the words for their places."""

from itertools import pairwise

import pytest

from fragmodel.report.tracks import in_protein, place, ruler, tracks


def test_tracks_count_along_the_whole_protein():
    (track,) = tracks([("SH3", [[0, 10], [50, 51]])], start=100, whole=200, class_ids={"sh3": "IPR001452"})
    # Residues 101 to 110 of 200, counted from 1: the sixth decade.
    assert track.boxes == [(50.0, 5.0, "101–110"), (75.0, 0.5, "151")]
    assert (track.places, track.class_id) == ("101–110, 151", "IPR001452")


def test_each_box_has_its_confidence():
    groups = [("a", [[0, 10], [50, 51]]), ("b", [[5, 9]])]
    assert [track.sure for track in tracks(groups, 0, 200, sure=[0.9, 0.2, 0.5])] == [[0.9, 0.2], [0.5]]
    assert [track.sure for track in tracks(groups, 0, 200)] == [[], []]


def test_what_a_model_writes_is_shown_as_biologists_count():
    text = "SH3: (0,10), (193,194)\nSH2: (5, 2) and (a,b)"
    assert in_protein(text, 0) == "SH3: 1–10, 194\nSH2: 6–2 and (a,b)"
    assert in_protein(text, 100).startswith("SH3: 101–110, 294")
    assert place(193, 194) == "194"


@pytest.mark.parametrize("whole", [1, 2, 9, 147, 345, 1000, 35_213])
def test_a_ruler_has_both_ends_and_few_round_numbers(whole):
    marks = ruler(whole)
    numbers = [number for _, number in marks]
    assert numbers[0] == 1 and numbers[-1] == whole and numbers == sorted(set(numbers)) and len(numbers) <= 7
    assert all(at == pytest.approx(100 * (number - 0.5) / whole, abs=1e-3) for at, number in marks)
    steps = {after - before for before, after in pairwise(numbers[1:-1])}
    assert len(steps) <= 1 and all(str(step).rstrip("0") in {"1", "2", "5"} for step in steps)
