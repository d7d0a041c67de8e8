"""Windows cover a protein, and merging their answers neither loses nor invents residues."""

from hypothesis import example, given
from hypothesis import strategies as st

from fragmodel.prediction.overlaps import merge, tile
from fragmodel.prediction.results import Annotation
from fragmodel.vocabulary import Span


def place(start: int, end: int, name: str = "SH3", family: str = "domain") -> Annotation:
    return Annotation(name, Span(start, end), family)


@given(st.integers(1, 400), st.integers(1, 120))
def test_windows_cover_the_protein(length, longest):
    windows = tile(length, longest)
    assert {i for w in windows for i in range(w.start, w.end)} == set(range(length))
    assert all(w.length == min(length, longest) for w in windows)
    assert windows[-1].end == length and windows == sorted(set(windows))


def test_a_span_shorter_than_the_overlap_lies_whole_in_a_window():
    windows = tile(1000, 100)
    for start in range(950):
        assert any(w.start <= start and start + 50 <= w.end for w in windows)


def test_a_place_seen_by_two_windows_is_one():
    assert merge([[place(30, 50)], [place(38, 62)]]) == [place(30, 62)]


def test_less_than_half_of_the_shorter_is_another_place():
    assert merge([[place(30, 50)], [place(41, 61)]]) == [place(30, 50), place(41, 61)]


def test_neighbours_of_one_window_stay_apart_and_repeats_do_not():
    assert merge([[place(30, 50), place(35, 52), place(30, 50)]]) == [place(30, 50), place(35, 52)]


def test_a_place_joins_its_equal_before_a_neighbour():
    pair = [place(30, 50), place(30, 60)]
    assert merge([pair, pair]) == pair


def test_classes_and_families_are_kept_apart_and_spelling_is_not():
    other = [place(30, 50, "PDZ"), place(30, 50, family="motif")]
    assert merge([[place(30, 50)], other, [place(30, 50, "sh3.")]]) == [
        place(30, 50, "PDZ"),
        place(30, 50),
        place(30, 50, family="motif"),
    ]


places = st.builds(
    lambda s, n, name: place(s, s + n, name), st.integers(0, 60), st.integers(1, 30), st.sampled_from("AB")
)


@given(st.lists(st.lists(places, max_size=4), max_size=4))
@example([[place(0, 1, "A"), place(0, 2, "A")], [place(0, 2, "A")]])
@example([[place(0, 4, "A"), place(0, 6, "A"), place(1, 6, "A")], [place(1, 6, "A")], [place(0, 5, "A")]])
def test_residues_of_each_class_stay(windows):
    merged = merge(windows)
    for name in "AB":
        before = {i for w in windows for a in w if a.class_name == name for i in range(*a.span)}
        assert {i for a in merged if a.class_name == name for i in range(*a.span)} == before
    assert len(set(merged)) == len(merged)
