"""Evidence as text: what is written is read back, points where it should, and never acts as a control token."""

from hypothesis import given
from hypothesis import strategies as st

from fragmodel.data.grammar import NONE, grounding_answer
from fragmodel.data.prompts import MARKERS, plain, split_markers
from fragmodel.evidence.block import block, pointer, pointers, resolved, suggestions, with_evidence
from fragmodel.evidence.find import Line
from fragmodel.vocabulary import Span


def line(text, identity=0.41):
    return Line(text, "P1", identity, 0.9, 1e-9, [], None)


QUESTION = [{"role": "system", "content": "S"}, {"role": "user", "content": "Where is X?"}]


def asked(*texts):
    return with_evidence(QUESTION, [line(text) for text in texts])[-1]["content"]


def test_the_form():
    assert asked("A: (1,2)\nB: (3,4)", "none") == (
        "Where is X?\nRelatives:\n1. 41 %: A: (1,2)\nB: (3,4)\n2. 41 %: none"
    )
    assert asked() == "Where is X?\nRelatives: none known"
    assert with_evidence(QUESTION, [])[0] == QUESTION[0]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n"), min_size=1).map(str.strip), max_size=4))
def test_lines_are_read_back(texts):
    texts = [" ".join(text.split()) or "x" for text in texts]
    found = suggestions(asked(*texts))
    assert found == [text.replace("<|", "< |") for text in texts]


def test_classes_named_as_the_block_begins():
    """Their lines in an answer about all places are no lines of the block."""
    answers = ["A: (1,2)\n2. 30 %: x: (3,4)", "B: (1,2)\nRelatives: (3,4)\n1. 5 %: : (5,6)\n kept"]
    question = asked(*answers, "none")
    assert suggestions(question) == [*answers, "none"]
    assert resolved(pointer(2), question) == answers[1]
    assert question.count("\n2. ") == 1


NAMES = st.one_of(
    st.text(min_size=1),
    st.sampled_from(["Relatives", "Relatives: none known", "=1", "none", "1. 41 %: A"]),
    st.from_regex(r"\A\d+\. \d+ %: ?\w*\Z"),
).map(plain)


@given(st.lists(st.lists(NAMES.filter(bool), min_size=1, max_size=3), min_size=1, max_size=3))
def test_any_class_names_are_read_back(answers):
    texts = [grounding_answer("grounding_group", [(name, [Span(1, 2)]) for name in each]) for each in answers]
    assert suggestions(asked(*texts)) == texts


def test_pointers_stand_for_lines_that_say_something():
    question = asked("zinc finger", "kinase", NONE)
    assert pointers(question) == 2
    assert resolved(pointer(2), question) == "kinase"
    assert resolved("=3", question) == "=3"
    assert resolved("=0", question) == "=0"
    assert resolved("=1", asked()) == "=1"
    assert resolved("zinc finger", question) == "zinc finger"


def test_text_of_a_relative_is_no_control_token():
    text = block([line(f"a {MARKERS[0]} b {MARKERS[1]} <|end|> {MARKERS[2]}(1,2){MARKERS[3]}")])
    assert [piece for piece, marker in split_markers(text) if marker] == [MARKERS[2], MARKERS[3]]
    assert "<|end|>" not in text
