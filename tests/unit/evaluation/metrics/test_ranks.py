"""Where what is right stands among candidates, counted by hand."""

import numpy as np
import pytest

from fragmodel.evaluation.answers import Sureness
from fragmodel.evaluation.candidates import ranked_places
from fragmodel.evaluation.judge import judge
from fragmodel.evaluation.metrics.grounding import GroundingScores
from fragmodel.evaluation.metrics.places import GroundingItem
from fragmodel.evaluation.metrics.ranks import class_ranks, place_ranks
from fragmodel.evaluation.parse import ClassNames
from fragmodel.evaluation.references import Key, Reference
from fragmodel.vocabulary import Span

ALL = np.ones((1, 3))


def test_places_have_the_probability_of_all_answers_that_name_them() -> None:
    candidates = [("A: (1,5), (7,9)", 0.4), ("a: (7,9)\nB: (7,9)", 0.35), ("B: (0,3)", 0.2), ("none", 0.05)]
    found = ranked_places(candidates, 20)
    assert [(name, span) for name, span, _ in found] == [
        ("A", Span(7, 9)),
        ("A", Span(1, 5)),
        ("B", Span(7, 9)),
        ("B", Span(0, 3)),
    ]
    assert [probability for *_, probability in found] == pytest.approx([0.75, 0.4, 0.35, 0.2])


def item(true: list[Span], ranked: list[Span], name: str = "a") -> GroundingItem:
    return GroundingItem([("a", true)], [], "ok", 100, ranked=[(name, [span]) for span in ranked])


def test_recall_of_places() -> None:
    far = [Span(90, 91 + number) for number in range(5)]
    items = [
        item([Span(0, 10), Span(20, 30)], [Span(21, 30), *far[:4], Span(0, 6)]),  # first, and sixth
        item([Span(50, 60)], [Span(0, 6), Span(54, 60), Span(50, 60)]),  # the second hits
        item([Span(50, 60)], []),
    ]
    ranks = place_ranks(items, aware=True)
    assert ranks is not None
    found = {name: value.item() for name, value in ranks.values(ALL).items()}
    assert found == pytest.approx(
        {"recall_50_at_1": 1 / 4, "recall_50_at_5": 2 / 4, "recall_50_at_10": 3 / 4}
    )
    shorter = [item([Span(50, 60)], [Span(0, 6), Span(54, 60)])] * 3
    assert place_ranks(shorter, aware=True).values(ALL).keys() == {"recall_50_at_1", "recall_50_at_5"}
    others = [item([Span(0, 10)], [Span(0, 10)], "b")] * 3
    assert place_ranks(others, aware=True).values(ALL)["recall_50_at_1"].item() == 0
    assert place_ranks(others, aware=False).values(ALL)["recall_50_at_1"].item() == 1
    assert place_ranks([item([Span(0, 10)], [])] * 3, aware=True) is None


def test_what_is_absent_has_no_part_in_it() -> None:
    absent = GroundingItem([("a", [])], [], "ok", 100, ranked=[("a", [Span(0, 10)])])
    scores = GroundingScores([item([Span(0, 10)], [Span(0, 10)]), absent], grouped=False)
    assert scores.values(np.ones((1, 2)))["recall_50_at_1"].item() == 1
    assert np.isnan(scores.values(np.array([[0.0, 1.0]]))["recall_50_at_1"]).all()


def test_ranks_of_classes() -> None:
    ranks = class_ranks(["a", "b", "c"], [["a", "b"], ["x", None, "y", "z", "b"], []])
    assert ranks is not None
    found = {name: value.item() for name, value in ranks.values(ALL).items()}
    assert found == pytest.approx({"top_1": 1 / 3, "top_5": 2 / 3})


def test_a_system_without_candidates_has_no_ranks() -> None:
    references = [
        Reference(
            Key(record_id=str(number), data_name="D", task_type="referring_class"),
            *("P", "MKV", "kinase", ["kinase"], Span(0, 3), []),
        )
        for number in range(2)
    ]
    names = ClassNames(["kinase", "SH3 domain"])
    known = Sureness(0.5, candidates=(("SH3 domain", 0.6), ("kinase", 0.3)))
    for sureness, keys in (([], set()), ([known, Sureness()], {"top_1", "top_5"})):
        judged = judge("referring_class", references, ["kinase"] * 2, names, (), sureness)
        assert {key for key in judged.scores.values(np.ones((1, 2))) if key.startswith("top_")} == keys
