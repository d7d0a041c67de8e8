"""Windows against the properties that they promise and a slow search over every start."""

import pytest
from growth import best_time
from hypothesis import given
from hypothesis import strategies as st

from fragmodel.data.windows import clip, divide, window_for, windows_for
from fragmodel.vocabulary import Span


@st.composite
def proteins(draw, most=40_000):
    length = draw(st.integers(1, most))
    max_length = draw(st.one_of(st.just(1021), st.integers(1, 2000)))
    start = draw(st.integers(0, length - 1))
    end = draw(st.integers(start + 1, length))
    return length, max_length, Span(start, end)


@given(proteins(), st.integers(0, 3), st.sampled_from(["P1", "Q2", "seq-1"]))
def test_window_shows_the_fragment(case, seed, uid):
    length, max_length, fragment = case
    window = window_for(fragment, length, max_length, uid=uid, seed=seed)
    assert window.length == min(length, max_length) and window.start >= 0 and window.end <= length
    shown = clip(fragment, window)
    assert shown.length == min(fragment.length, max_length)
    assert window == window_for(fragment, length, max_length, uid=uid, seed=seed)


@given(proteins(most=3000), st.integers(0, 3))
def test_window_is_on_the_coarsest_grid_that_serves(case, seed):
    """Reference: try every start of every grid."""
    length, max_length, fragment = case
    window = window_for(fragment, length, max_length, uid="P1", seed=seed)
    if length <= max_length:
        assert window == (0, length)
        return
    stride = max(1, max_length // 2)
    last = length - max_length
    while True:
        starts = sorted({*range(0, last + 1, stride), last})
        serving = [
            s
            for s in starts
            if min(fragment.end, s + max_length) - max(fragment.start, s) == min(fragment.length, max_length)
        ]
        if serving:
            break
        stride = max(1, stride // 2)
    assert window.start in serving


def test_every_window_of_the_grid_is_drawn_sometimes():
    drawn = {window_for(Span(3000, 3010), 9000, 1021, uid=f"P{n}", seed=1).start for n in range(200)}
    assert drawn == {2040, 2550}  # the starts k * 510 with k * 510 <= 3000 and k * 510 + 1021 >= 3010


@given(
    st.integers(1, 40_000),
    st.integers(1, 1500),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.2)), min_size=1, max_size=25),
)
def test_windows_cover_every_span_whole(length, max_length, places):
    spans = []
    for at, size in places:
        start = min(length - 1, int(at * length))
        spans.append(Span(start, min(length, start + 1 + int(size * length))))
    windows = windows_for(spans, length, max_length, uid="P1", seed=1)
    assert windows == sorted(set(windows))
    for span in spans:
        assert any(
            (part := clip(span, window)) and part.length == min(span.length, max_length) for window in windows
        )
    hull = Span(min(s.start for s in spans), max(s.end for s in spans))
    if hull.length <= max_length:
        assert len(windows) == 1
    # The order in which a file lists the spans does not matter.
    assert windows == windows_for(spans[::-1], length, max_length, uid="P1", seed=1)


def test_whole_protein_is_one_window():
    assert windows_for([Span(0, 3), Span(90, 100)], 1021, 1021, uid="P1", seed=1) == [Span(0, 1021)]


@given(st.integers(0, 50), st.integers(1, 30), st.integers(0, 50), st.integers(1, 30))
def test_clip_is_the_common_residues(start, size, window_start, window_size):
    common = set(range(start, start + size)) & set(range(window_start, window_start + window_size))
    shown = clip(Span(start, start + size), Span(window_start, window_start + window_size))
    assert (shown is None) == (not common)
    if shown:
        assert set(range(shown.start + window_start, shown.end + window_start)) == common


@pytest.mark.parametrize("span", [Span(5, 5), Span(-1, 3), Span(8, 11), Span(7, 2)])
def test_span_outside_is_refused(span):
    with pytest.raises(ValueError, match="does not lie inside"):
        window_for(span, 10, 5, uid="P1", seed=1)


def test_time_does_not_grow_with_the_length_of_the_protein():
    def choose(length: int) -> None:
        for start in range(1_000):
            window_for(Span(start, start + 1_000), length, 1_021, uid="P1", seed=1)

    assert best_time(choose, 400_000) < 3 * best_time(choose, 4_000)


def test_a_window_divides_what_it_shows_into_targets_and_parts_too_small():
    window = Span(100, 200)
    spans = [
        Span(60, 110),
        Span(80, 120),
        Span(90, 111),
        Span(150, 160),
        Span(198, 204),
        Span(195, 204),
        Span(10, 500),
    ]
    targets, small = divide([*spans, Span(0, 100), Span(200, 300)], window, 0.5)
    assert [span for span, _ in targets] == [
        Span(80, 120),
        Span(90, 111),
        Span(150, 160),
        Span(195, 204),
        Span(10, 500),
    ]
    assert small == [(Span(60, 110), Span(0, 10)), (Span(198, 204), Span(98, 100))]
    assert targets[-1] == (Span(10, 500), Span(0, 100))  # longer than a window, which it fills
    assert divide(spans, window, 0.0) == ([(span, clip(span, window)) for span in spans], [])
    assert [span for span, _ in divide(spans, window, 1.0)[0]] == [Span(150, 160), Span(10, 500)]


@given(st.data())
def test_every_span_is_a_target_of_one_of_its_windows(data):
    length, max_length, first = data.draw(proteins(most=4000))
    others = data.draw(st.lists(st.integers(0, length - 1), max_size=6))
    spans = [first, *(Span(start, min(length, start + 1 + start % 300)) for start in others)]
    least = data.draw(st.sampled_from([0.0, 0.3, 0.5, 1.0]))
    windows = windows_for(spans, length, max_length, uid="P1", seed=1)
    found = [divide(spans, window, least) for window in windows]
    assert all(targets for targets, _ in found)
    assert {span for targets, _ in found for span, _ in targets} == set(spans)
