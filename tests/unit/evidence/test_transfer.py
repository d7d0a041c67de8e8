"""What a relative suggests, worked out by hand."""

from fragmodel.data.grammar import NONE
from fragmodel.evidence.agreement import agreeing
from fragmodel.evidence.find import Line
from fragmodel.evidence.library import Known, Relative
from fragmodel.evidence.transfer import Asked, iou, suggest
from fragmodel.homology.search import Block
from fragmodel.tables import Record
from fragmodel.vocabulary import Span

# Residues 10 to 59 of the relative lie at 0 to 49 of the window.
SHIFT = [Block(0, 10, 50)]
RELATIVE = Relative(
    "P1",
    "domain",
    "M" * 80,
    [
        Known("A", Span(20, 30), "The first."),
        Known("B", Span(28, 40)),
        Known("B", Span(50, 58)),
        Known("far", Span(70, 80)),
    ],
    "Does something.",
)


def said(task, **about):
    found = suggest(Asked(task, "domain", **about), RELATIVE, SHIFT)
    return found and found.text.replace("<|reserved_special_token_3|>", "").replace(
        "<|reserved_special_token_4|>", ""
    )


def test_referring_takes_the_fragment_that_overlaps_most():
    assert said("referring_class", place=Span(10, 20)) == "A"
    assert said("referring_class", place=Span(19, 30)) == "B"
    assert said("referring_class", place=Span(0, 5)) is None
    assert said("referring_desc", place=Span(19, 30)) == "The first.", "the other has no description"


def test_grounding_takes_all_places_of_the_class():
    assert said("grounding_single", class_name="b") == "(18,30), (40,48)"
    assert said("grounding_single", class_name="C") == NONE
    assert said("grounding_single", class_name="far") == NONE, "it is not in the alignment"
    assert said("grounding_group") == "A: (10,20)\nB: (18,30), (40,48)"
    assert suggest(Asked("grounding_group", "domain"), RELATIVE, [Block(0, 0, 5)]) is None


def test_function():
    assert said("function") == "Does something."
    assert suggest(Asked("function", "domain"), Relative("P", "domain", "M"), SHIFT) is None


def test_iou():
    assert iou(Span(0, 10), Span(5, 15)) == 5 / 15
    assert iou(Span(0, 10), Span(10, 15)) == 0


def grounded(task, classes, groups, answer="x"):
    return Record("r", "u", "D", task, "M" * 99, 0, 99, None, groups, None, classes, [], [], answer, [])


def place(name, *span):
    return Line("text", "P", 0.5, 1.0, 0.0, [Known(name, Span(*span))], None)


def test_a_line_agrees_from_half_of_the_residues_on():
    record = grounded("grounding_single", ["A"], [[Span(0, 10)]])
    assert agreeing(record, [place("A", 50, 60), place("A", 0, 20)]) == 2
    assert agreeing(record, [place("A", 0, 21)]) is None
    group = grounded("grounding_group", ["A", "B"], [[Span(0, 10)], [Span(20, 30)]])
    assert agreeing(group, [place("A", 0, 10)]) == 1
    assert agreeing(group, [place("B", 0, 10)]) is None
    assert agreeing(grounded("grounding_single", ["A"], [[]], NONE), [place("A", 0, 10)]) is None
