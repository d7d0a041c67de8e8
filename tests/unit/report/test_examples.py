"""Choice and layout of examples."""

from report_run import HOSTILE

from fragmodel.data.prompts import FRAGMENT, PROTEIN, SPAN_CLOSE, SPAN_OPEN
from fragmodel.report.examples import RecordScore, _question, choose, readable
from fragmodel.tables import Record


def scores(*items):
    return sorted(
        RecordScore(value, data, uid, f"{uid}:{row}", row) for row, (value, data, uid) in enumerate(items)
    )


def test_half_are_the_worst_and_data_sets_take_turns():
    found = scores(
        (0.1, "A", "p"), (0.2, "A", "q"), (0.3, "B", "r"), (0.8, "A", "s"), (0.9, "A", "t"), (0.7, "B", "u")
    )
    chosen = choose(found, 4)
    assert [(kind, item.score) for kind, item in chosen] == [
        ("worst", 0.1),
        ("worst", 0.3),
        ("best", 0.9),
        ("best", 0.7),
    ]


def test_no_record_is_chosen_twice():
    found = scores((0.1, "A", "p"), (0.2, "A", "q"), (0.3, "A", "r"))
    assert sorted(item.score for _, item in choose(found, 12)) == [0.1, 0.2, 0.3]
    assert choose([], 12) == []


def test_another_protein_goes_before_the_same_one_again():
    found = scores((0.0, "A", "p"), (0.1, "A", "p"), (0.2, "A", "q"), (0.9, "A", "r"))
    assert [item.score for kind, item in choose(found, 4) if kind == "worst"] == [0.0, 0.2]


def test_markers_become_readable():
    assert (
        readable(f"{PROTEIN} at {FRAGMENT}: {SPAN_OPEN}(1,2){SPAN_CLOSE}") == "⟨protein⟩ at ⟨fragment⟩: (1,2)"
    )
    assert readable(HOSTILE) == HOSTILE  # escaping is the template's
    assert len(readable("x" * 5000)) < 1600


def test_the_question_is_shown_with_its_evidence_in_the_numbers_of_the_protein():
    asked = f"Protein: {PROTEIN}\nWhere is (1,3)-glucanase?"
    row = {column: None for column in Record._fields}
    record = Record(**row)._replace(
        task_type="grounding_single", start=100, conversation=[{"role": "user", "content": asked}]
    )
    told = f"{asked}\nRelatives:\n1. 41 %: {SPAN_OPEN}(0,10){SPAN_CLOSE}"
    shown = "Protein: ⟨protein⟩\nWhere is (1,3)-glucanase?"
    prompts = [{"system": "model_without_evidence", "prompt": "?"}, {"system": "model", "prompt": told}]
    assert _question(record, prompts) == f"{shown}\nRelatives:\n1. 41 %: 101–110"
    assert _question(record, [{"system": "model", "prompt": None}]) == shown
