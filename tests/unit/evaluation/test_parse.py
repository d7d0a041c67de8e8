import pytest
from growth import grows_linearly
from hypothesis import example, given
from hypothesis import strategies as st

from fragmodel.data.grammar import grounding_answer
from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN, plain
from fragmodel.evaluation.parse import ClassNames, normalise, parse_spans
from fragmodel.vocabulary import Span

LENGTH = 300
NAMES = st.text(max_size=20) | st.sampled_from(
    [
        "Glucan (1,4)",
        "Binding site: ATP",
        "The domain: X",
        "a at",
        "and",
        ",",
        "(1,2)",
        "x (3,9)",
        "A:\n(1,2)",
    ]
)
SPANS = st.lists(
    st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 40)).map(
        lambda s: Span(s[0], min(LENGTH, s[0] + s[1]))
    ),
    min_size=1,
    max_size=4,
)
GROUPS = st.lists(st.tuples(NAMES, SPANS), min_size=1, max_size=4)


@given(GROUPS)
@example([("(1,2)", [Span(0, 5)]), ("x (3,9)", [Span(1, 2), Span(3, 4)])])
def test_formatted_groups_come_back(groups):
    parsed = parse_spans(grounding_answer("grounding_group", groups), LENGTH)
    assert parsed.status == "ok"
    assert parsed.groups == [(plain(name), spans) for name, spans in groups]


@given(GROUPS)
def test_formatted_single_answer_comes_back(groups):
    parsed = parse_spans(grounding_answer("grounding_single", groups), LENGTH)
    assert parsed.spans == [span for _, spans in groups for span in spans]


PIECES = st.sampled_from(
    [SPAN_OPEN, SPAN_CLOSE, "(", ")", "[", ",", "-", "12", "9" * 30, "at", ":", "\n", " "]
)


@given(st.text() | st.lists(PIECES | st.text(max_size=3)).map("".join), st.integers(1, 50))
def test_any_text_is_parsed_to_spans_inside_the_window(text, length):
    for span in parse_spans(text, length).spans:
        assert 0 <= span.start < span.end <= length


@pytest.mark.parametrize(
    "make",
    [
        lambda n: SPAN_OPEN + " " * (5 * n),
        lambda n: "(1,2)" + ", " * (2 * n) + "x (3,4)",
        lambda n: "(" * (5 * n),
        lambda n: "a" + " " * (5 * n) + "b (1,2)",
        lambda n: "the " * n + "(1,2)",
        lambda n: SPAN_OPEN * n,
        lambda n: "1," * (2 * n),
    ],
    ids=range(7),
)
def test_time_grows_with_the_length_of_a_degenerate_text(make):
    names = ClassNames(["the", "a b"])

    def read(text: str) -> None:
        parse_spans(text, LENGTH)
        names.find(text)

    assert grows_linearly(read, make, 2_000)


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("A at (1,2); B: (3,4), (5,6)", [("A", [(1, 2)]), ("B", [(3, 4), (5, 6)])]),
        ("(36,201)", [("", [(36, 201)])]),
        (f"{SPAN_OPEN}36,201{SPAN_CLOSE}", [("", [(36, 201)])]),
        (f"{SPAN_OPEN}(36 - 201", [("", [(36, 201)])]),
        (f"X domain is located at {SPAN_OPEN}(36,201){SPAN_CLOSE}.", [("X domain", [(36, 201)])]),
        (
            f"The domain annotations are: X at {SPAN_OPEN}(3,9){SPAN_CLOSE}, {SPAN_OPEN}(11,20){SPAN_CLOSE}; "
            f"Y at {SPAN_OPEN}(30,40){SPAN_CLOSE}.",
            [("X", [(3, 9), (11, 20)]), ("Y", [(30, 40)])],
        ),
        ("A: (1,2),\n(3,4)\nB: (5,6) and (7,8)", [("A", [(1, 2), (3, 4)]), ("B", [(5, 6), (7, 8)])]),
        (
            "Binding site: ATP: (1, 2)\nBinding site: GTP: [3, 4]",
            [("Binding site: ATP", [(1, 2)]), ("Binding site: GTP", [(3, 4)])],
        ),
        (f"Glucan (1,4): {SPAN_OPEN}(5,9){SPAN_CLOSE}, (20,25)", [("Glucan (1,4)", [(5, 9), (20, 25)])]),
    ],
)
def test_tolerated_spellings(text, groups):
    parsed = parse_spans(text, LENGTH)
    assert parsed.status == "ok"
    assert parsed.groups == groups


@pytest.mark.parametrize(
    ("text", "status", "spans"),
    [
        ("", "empty", []),
        ("  \n", "empty", []),
        ("I do not know.", "no_span", []),
        ("positions 3 to 9", "no_span", []),
        ("(9,3), (4,6)", "reversed", [(4, 6)]),
        ("(5,5)", "reversed", []),
        ("(90,120)", "out_of_range", [(90, 100)]),
        ("(-4,7)", "out_of_range", [(0, 7)]),
        ("(100,120), (3,4)", "out_of_range", [(3, 4)]),
        ("(120,90), (3,400)", "reversed", [(3, 100)]),
    ],
)
def test_faults_are_named_and_repaired(text, status, spans):
    parsed = parse_spans(text, 100)
    assert (parsed.status, parsed.spans) == (status, spans)


def test_normalisation():
    assert normalise("  The SH3\u00a0Domain.\n") == "the sh3 domain"
    assert normalise(f"{SPAN_OPEN}ﬁnger{SPAN_CLOSE}") == "finger"


def test_class_is_found_whole_then_longest():
    names = ClassNames(["SH3 domain", "SH3 domain binding", "ATP"])
    assert names.find("sh3 domain.") == "sh3 domain"
    assert names.find("It belongs to SH3 domain binding.") == "sh3 domain binding"
    assert names.find("an ATPase") is None
    assert names.find("ATPase or ATP") == "atp"
    assert names.find("") is None


@given(st.text(), st.lists(st.text(max_size=5), max_size=4))
def test_find_gives_a_known_class_or_none(text, names):
    found = ClassNames(names).find(text)
    assert found is None or found in {normalise(name) for name in names}
