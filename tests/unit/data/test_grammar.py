"""Answers are written and read by one grammar, at ingest as in evaluation."""

import re

import pytest
from growth import grows_linearly
from hypothesis import example, given
from hypothesis import strategies as st

from fragmodel.data.answers import mark_spans, name_groups, stated_spans
from fragmodel.data.grammar import (
    NONE,
    format_spans,
    grounding_answer,
    read_groups,
    read_places,
    says_none,
)
from fragmodel.data.prompts import MARKER, SPAN_CLOSE, SPAN_OPEN, plain
from fragmodel.evaluation.parse import parse_spans
from fragmodel.vocabulary import Span

LENGTH = 300
ODD_NAMES = [
    "Glucan (1,4)",
    "Binding site: ATP",
    "The domain: X",
    "a at",
    "and",
    ",",
    ".",
    "x (3,9)",
    "A:\n(1,2)",
    "<|x",
]
NAMES = st.text(max_size=20) | st.sampled_from(ODD_NAMES)
SPANS = st.lists(
    st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 40)).map(
        lambda s: Span(s[0], min(LENGTH, s[0] + s[1]))
    ),
    min_size=1,
    max_size=4,
)
GROUPS = st.lists(st.tuples(NAMES, SPANS), min_size=1, max_size=4)
PIECES = st.sampled_from(
    [
        SPAN_OPEN,
        SPAN_CLOSE,
        "(",
        ")",
        "[",
        ",",
        "-",
        "12",
        "9" * 30,
        "at",
        ":",
        "\n",
        " ",
        "(3,9)",
        "and",
        ".",
    ]
)
TEXTS = st.text() | st.lists(PIECES | st.text(max_size=3)).map("".join)


def mark(start, end):
    return format_spans([Span(start, end)])


def spans_of(groups):
    return [(name, [place.span for place in places]) for name, places in groups]


@given(GROUPS)
@example([(name, [Span(0, 5), Span(0, 5)]) for name in ODD_NAMES])
def test_what_is_written_is_read(groups):
    text = grounding_answer("grounding_group", groups)
    assert spans_of(read_groups(text)) == [(plain(name), spans) for name, spans in groups]
    assert {place.markers for place in read_places(text)} == {2}
    single = read_groups(grounding_answer("grounding_single", groups))
    assert spans_of(single) == [("", [span for _, spans in groups for span in spans])]


@given(st.lists(NAMES), st.sampled_from(["grounding_single", "grounding_group"]))
def test_an_answer_without_spans_is_one_word_that_is_read(names, task):
    text = grounding_answer(task, [(name, []) for name in names])
    assert text == NONE == "none"
    parsed = parse_spans(text, LENGTH)
    assert (parsed.status, parsed.spans, read_groups(text)) == ("ok", [], [])
    assert grounding_answer(task, [("A", []), ("B", [Span(3, 8)])]) == grounding_answer(
        task, [("B", [Span(3, 8)])]
    )


@given(GROUPS, st.sampled_from(["grounding_single", "grounding_group"]))
def test_only_an_answer_without_spans_says_none(groups, task):
    assert not says_none(grounding_answer(task, groups))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("None.", "ok"),
        (f" NONE{SPAN_CLOSE}\n", "ok"),
        ("none found", "no_span"),
        ("nonee", "no_span"),
        ("", "empty"),
        ("none (3,2)", "reversed"),
        ("none (3,9)", "ok"),
    ],
)
def test_none_is_the_whole_answer(text, status):
    parsed = parse_spans(text, LENGTH)
    assert parsed.status == status
    assert bool(parsed.spans) == ("9" in text)


@given(GROUPS, st.sampled_from(["grounding_single", "grounding_group"]))
def test_ingest_and_evaluation_agree_on_what_is_written(groups, task):
    text = grounding_answer(task, groups)
    parsed = parse_spans(text, LENGTH)
    assert parsed.status == "ok"
    assert stated_spans(text) == set(parsed.spans)
    assert mark_spans(text, parsed.spans) == text.strip()


@given(GROUPS)
def test_ingest_and_evaluation_agree_on_names(groups):
    groups = [(f"x{name}", spans) for name, spans in groups]  # no name is missing, none is an introduction
    text = grounding_answer("grounding_group", groups)
    spans = [spans for _, spans in groups]
    assert name_groups(text, "", spans, "grounding_group", "domain") == parse_spans(text, LENGTH).groups


@given(TEXTS, st.sets(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda s: Span(*s))))
@example("9" * 5000 + mark(1, 2), {Span(1, 2)})
@example(f"{SPAN_OPEN}({'9' * 5000},{'9' * 5000}){SPAN_CLOSE}", set())
def test_any_text_is_read(text, allowed):
    places = read_places(text)
    assert [place.start for place in places] == sorted({place.start for place in places})
    for place in places:
        slice_ = text[place.start : place.end]
        numbers = [int(number) for number in re.findall("[0-9]+", MARKER.sub("", slice_))]
        assert numbers == [abs(number) for number in place.span]
        assert place.markers == slice_.count(SPAN_OPEN) + slice_.count(SPAN_CLOSE)
    assert stated_spans(text) == {place.span for place in places}
    marked = mark_spans(text, list(allowed))
    kept = [place.span for place in places if place.markers and place.span in allowed]
    assert marked.count("<|") == 2 * len(kept)
    name_groups(text, text, [list(allowed)], "grounding_group", "domain")


@pytest.mark.parametrize(
    "make",
    [
        lambda n: SPAN_OPEN + " " * (20 * n),
        lambda n: mark(1, 2) + "x (3,4)" * n,  # spans that are passed over
        lambda n: mark(1, 2) + "x (3,4) " * n + mark(1, 2),
        lambda n: "(1,2)" + ", " * (5 * n) + "x (3,4)",
        lambda n: "The domains are " * n + mark(1, 2),
        lambda n: "a" + " " * (20 * n) + "at" + " " * (20 * n) + mark(1, 2),
        lambda n: ". and " * (3 * n) + mark(1, 2),
        lambda n: (SPAN_OPEN + "(" + " " * 50) * n,
        lambda n: "where is " * n,
    ],
    ids=range(9),
)
def test_time_grows_with_the_length_of_the_text(make):
    def read(text: str) -> None:
        read_groups(text)
        mark_spans(text, [Span(1, 2)])
        name_groups(text, "", [[Span(1, 2)]], "grounding_group", "domain")
        name_groups("", text, [[Span(1, 2)]], "grounding_single", "domain")

    assert grows_linearly(read, make, 1_000)


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        (f"Kringle was placed at {mark(3, 8)}.", [("Kringle", [(3, 8)])]),
        (f"Kringle, present in {mark(3, 8)} AND {mark(9, 12)}.", [("Kringle", [(3, 8), (9, 12)])]),
        (f"A at {mark(1, 2)}. {mark(3, 4)}. B at {mark(5, 6)}", [("A", [(1, 2), (3, 4)]), ("B", [(5, 6)])]),
        (f"Two places.\nKringle at {mark(3, 8)}", [("Kringle", [(3, 8)])]),
        (f"I-set domain: C2 type at {mark(3, 8)}", [("I-set domain: C2 type", [(3, 8)])]),
        (f"I see the domain: C2 type at {mark(3, 8)}", [("C2 type", [(3, 8)])]),
        (f"{SPAN_OPEN}(9,3), (4,400)", [("", [(9, 3), (4, 400)])]),
        (f"(1,2): {mark(3, 4)} x (5,6) {mark(7, 8)}", [("(1,2)", [(3, 4)]), ("x (5,6)", [(7, 8)])]),
    ],
)
def test_tolerated_spellings(text, groups):
    assert spans_of(read_groups(text)) == groups


def test_markers_are_counted():
    text = f"{mark(1, 2)}, {SPAN_OPEN}(3,4), (5,6){SPAN_CLOSE}, (7,8)"
    assert [place.markers for place in read_places(text)] == [2, 1, 1, 0]
    assert [text[place.start : place.end] for place in read_places(text)][-1] == "(7,8)"


def test_half_a_pair_of_markers_becomes_a_pair():
    text = f"{SPAN_OPEN}(3,4), 5 and (5,6){SPAN_CLOSE}, (7,8), {SPAN_OPEN}(9,10)"
    assert mark_spans(text, [Span(3, 4), Span(5, 6), Span(7, 8)]) == (
        f"{mark(3, 4)}, 5 and {mark(5, 6)}, (7,8), {SPAN_OPEN.replace('<|', '< |')}(9,10)"
    )


def test_an_answer_without_markers_states_its_intervals():
    text = "The domain annotations are: Kringle at (3,8) and (10,12)."
    groups = [[Span(3, 8), Span(10, 12)]]
    assert stated_spans(text) == set(groups[0])
    assert name_groups(text, "", groups, "grounding_group", "domain") == [("Kringle", groups[0])]
    assert mark_spans(text, groups[0]) == text


def test_an_introduction_alone_is_no_name():
    groups = [[Span(3, 8)]]
    text = f"The domain annotations are: {mark(3, 8)}"
    assert name_groups(text, "", groups, "grounding_group", "domain") == [("domain", groups[0])]
    assert name_groups(
        f"The domain is: {mark(3, 8)}", "Where is Kringle?", groups, "grounding_single", "X"
    ) == [("Kringle", groups[0])]
