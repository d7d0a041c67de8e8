"""The answer with the highest expected overlap, by hand and against all pairings tried one by one."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragmodel.batching.consensus import most_overlapping
from fragmodel.data.grammar import format_spans
from fragmodel.vocabulary import Span


def place(*spans):
    return format_spans([Span(*span) for span in spans])


def test_one_residue_that_is_likely_loses_to_a_place_that_overlaps():
    texts = [place((13, 14)), place((10, 110)), place((20, 120)), place((10, 100))]
    text, sure = most_overlapping(texts, [4, 2, 2, 2])
    assert text == place((10, 110))
    # 4/10 of 1/100, 2/10 of all, of 90/110, and of 90/100
    assert sure == [pytest.approx(0.4 / 100 + 0.2 * (1 + 90 / 110 + 0.9))]


def test_the_answer_itself_may_be_chosen_without_a_copy():
    near = [place((10, 21)), place((10, 19)), place((9, 20)), place((11, 20))]
    assert most_overlapping([*near, place((10, 20))], [1, 1, 1, 1, 0])[0] == place((10, 20))


def test_an_answer_without_places_overlaps_with_none():
    text, sure = most_overlapping(["", place((5, 9)), ""], [3, 1, 0])
    assert text == place((5, 9)) and sure == [pytest.approx(0.25)]


def test_classes_are_told_apart():
    one, other = f"SH2: {place((0, 50))}", f"SH3: {place((0, 50))}\nSH2: {place((60, 70))}"
    text, sure = most_overlapping([one, other, other], [1, 1, 1])
    assert text == other and sure == [pytest.approx(2 / 3), pytest.approx(2 / 3)]


spans = st.tuples(st.integers(0, 39), st.integers(1, 40)).filter(lambda s: s[0] < s[1])


def plain_overlap(one, other):
    """All ways to pair the places of two answers, tried one by one."""

    def iou(a, b):
        return len(a & b) / len(a | b)

    fewer, more = sorted(([set(range(*span)) for span in each] for each in (one, other)), key=len)
    ways = permutations(more, len(fewer))
    return max(sum(iou(a, b) for a, b in zip(fewer, way, strict=True)) for way in ways) / len(more)


@given(st.lists(st.lists(spans, min_size=1, max_size=3), min_size=1, max_size=6))
def test_no_other_answer_overlaps_more(answers):
    texts = [place(*each) for each in answers]
    mean = [sum(plain_overlap(one, other) for other in answers) / len(answers) for one in answers]
    text, sure = most_overlapping(texts, [1] * len(texts))
    assert mean[texts.index(text)] == pytest.approx(max(mean))
    assert len(sure) == len(answers[texts.index(text)]) and all(0 <= each <= 1 for each in sure)
