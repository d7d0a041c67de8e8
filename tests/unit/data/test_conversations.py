"""Conversation records: markers, spans, classes, windows."""

import pytest
from raw_files import SAMPLE, SEQUENCE, reasons, run, run_files

from fragmodel.data.answers import class_of, mark_spans, name_groups
from fragmodel.data.prompts import FRAGMENT, PROTEIN, SPAN_CLOSE, SPAN_OPEN
from fragmodel.vocabulary import Span

DOCUMENTED = {
    "sequence": SEQUENCE,
    "conversation": [
        {"role": "user", "content": "Describe the fragment..."},
        {"role": "assistant", "content": "This fragment..."},
    ],
    "answer": "This fragment represents...",
    "position_ref": [10, 20],
    "position_grd": [[10, 20], [30, 33]],
    "start": 0,
}


def mark(start, end):
    return f"{SPAN_OPEN}({start},{end}){SPAN_CLOSE}"


def record(**changes):
    question = f"Where is Kringle located? {PROTEIN * (len(SEQUENCE) + 2)}"
    return {
        "uid": "P1",
        "sequence": SEQUENCE,
        "conversation": [{"role": "system", "content": "Hello."}, {"role": "user", "content": question}],
        "answer": f"Kringle is located at {mark(3, 8)} and {mark(10, 12)}.",
        "position_ref": None,
        "position_grd": [[[3, 8], [10, 12]]],
        "start": 0,
        **changes,
    }


def test_documented_example(tmp_path):
    (row,), rejects, _ = run(tmp_path, [DOCUMENTED], task="referring_desc")
    assert rejects == []
    assert row["conversation"] == [
        {"role": "user", "content": f"Protein: {PROTEIN}\nFragment: {FRAGMENT}\nDescribe the fragment..."}
    ]
    assert row["answer"] == "This fragment represents..."
    assert row["position_ref"] == [10, 20] and row["position_grd"] == [[[10, 20], [30, 33]]]
    (row,), _, summary = run(tmp_path, [DOCUMENTED], task="grounding_single")
    assert row["position_grd"] == [[[10, 20], [30, 33]]] and summary.accepted == 2
    assert row["classes"] == ["domain"]  # neither question nor answer names one
    without = {key: value for key, value in DOCUMENTED.items() if key != "answer"}
    (row,), _, _ = run(tmp_path, [without], task="referring_desc")
    assert row["answer"] == "This fragment..."


def test_a_run_of_protein_markers_becomes_one(tmp_path):
    (row,), _, _ = run(tmp_path, [record()], task="grounding_single")
    assert row["conversation"][1]["content"] == f"Where is Kringle located? {PROTEIN}"
    assert row["answer"] == f"Kringle is located at {mark(3, 8)} and {mark(10, 12)}."
    assert row["classes"] == ["Kringle"] and row["flags"] == []


def test_foreign_markers_are_broken_and_line_breaks_stay(tmp_path):
    turns = [{"role": "user", "content": f"One\n<|eot_id|>{FRAGMENT}\r\n{PROTEIN}<|x"}]
    answer = f"A\nB <|eot_id|> {PROTEIN} {mark(3, 8)} {mark(4, 9)} {SPAN_OPEN}"
    (row,), _, _ = run(tmp_path, [record(conversation=turns, answer=answer)], task="grounding_single")
    broken = FRAGMENT.replace("<|", "< |")
    assert row["conversation"][0]["content"] == f"One\n< |eot_id|>{broken}\n{PROTEIN}< |x"
    assert row["answer"] == (
        f"A\nB < |eot_id|> {PROTEIN.replace('<|', '< |')} {mark(3, 8)} {mark(4, 9).replace('<|', '< |')} "
        f"{SPAN_OPEN.replace('<|', '< |')}"
    )
    assert row["flags"] == ["answer_spans_differ"]


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"conversation": []}, "bad_field"),
        ({"conversation": "not a list"}, "bad_field"),
        ({"conversation": [{"role": "user"}]}, "bad_field"),
        ({"conversation": [{"role": "system", "content": "x"}]}, "bad_conversation"),
        ({"conversation": [{"role": "user", "content": "x"}] * 2}, "bad_conversation"),
        ({"conversation": [{"role": "tool", "content": "x"}]}, "bad_conversation"),
        ({"conversation": [{"role": "user", "content": f"{PROTEIN} and {PROTEIN}"}]}, "bad_conversation"),
        ({"answer": None}, "no_answer"),
        ({"answer": " "}, "no_answer"),
        ({"position_grd": [[[3, 8], [10, 34]]]}, "outside"),
        ({"position_grd": [[[8, 3], [10, 12]]]}, "empty_span"),
        ({"sequence": "MK-TV" + SEQUENCE}, "gap"),
        ({"start": "x"}, "bad_field"),
        ({"start": -1}, "bad_field"),
        ({"start": 10**12}, "bad_field"),
        ({"full_length": 32}, "bad_field"),
        ({"start": 4, "full_length": 36}, "bad_field"),
        ({"full_length": 10**12}, "bad_field"),
    ],
)
def test_bad_records_are_rejected_span_by_span(tmp_path, changes, reason):
    rows, rejects, _ = run(tmp_path, [record(), record(uid="P2", **changes)], task="grounding_single")
    assert len(rows) == 1 and reasons(rejects) == [reason] * 2
    assert {row["uid"] for row in rejects} == {"P2"} and {row["record"] for row in rejects} == {2}


def test_unreadable_or_missing_positions(tmp_path):
    for value, reason in (
        ([[3, 8, 9]], "bad_field"),
        ("x", "bad_field"),
        (None, "no_position"),
        ([], "no_position"),
    ):
        _, rejects, _ = run(tmp_path, [record(position_grd=value)], task="grounding_single")
        assert reasons(rejects) == [reason]
    _, rejects, _ = run(tmp_path, [record()], task="referring_desc")
    assert reasons(rejects) == ["no_position"] and "position_ref" in rejects[0]["detail"]


def test_window_of_the_file_is_kept_in_protein_coordinates(tmp_path):
    (row,), _, _ = run(tmp_path, [record(start=100)], task="grounding_single")
    assert (row["start"], row["full_length"], row["position_grd"]) == (100, 133, [[[3, 8], [10, 12]]])
    (row,), _, _ = run(tmp_path, [record(start=100, full_length=500)], task="grounding_single")
    assert row["full_length"] == 500


def test_long_sequence_is_windowed_and_the_answer_rebuilt(tmp_path):
    long = record(sequence=(SEQUENCE * 100)[:3000], position_grd=[[[3, 8], [2900, 2910]]])
    rows, _, summary = run(tmp_path, [long], task="grounding_single")
    assert summary.accepted == 2 and len(rows) == 2
    for row, span in zip(rows, ([3, 8], [2900, 2910]), strict=True):
        places = [[start + row["start"], end + row["start"]] for start, end in row["position_grd"][0]]
        assert places == [span] and "answer_rebuilt" in row["flags"]
        ((start, end),) = row["position_grd"][0]
        assert row["answer"] == mark(start, end)
        assert row["sequence"] == long["sequence"][row["start"] : row["start"] + 1021]


@pytest.mark.parametrize("task", ["grounding_single", "referring_desc", "function"])
def test_only_records_equal_in_everything_are_duplicates(tmp_path, task):
    """Paraphrases, other answers and other questions about one span are records of their own."""

    def asking(question, **changes):
        turns = [{"role": "user", "content": question}]
        return record(conversation=turns, **{"position_ref": [3, 8], "answer": "It binds.", **changes})

    first = asking("What is its function?")
    others = [
        asking("Where in the cell is it?"),
        asking("What is its function?", answer="It cuts."),
        asking("What is its function?", full_length=500),
        asking("What is its function?", position_grd=[[[3, 8]]]),
        {**first, "conversation": [{"role": "system", "content": "Be brief."}, *first["conversation"]]},
    ]
    rows, rejects, _ = run(tmp_path, [first, *others, first], task=task)
    assert len(rows) == len({row["record_id"] for row in rows}) == 6
    assert {(row["reason"], row["record"]) for row in rejects} == {("duplicate", 7)}


def test_shipped_conversations(tmp_path):
    rows, rejects, _ = run_files([SAMPLE / "Conversations_Dom" / "train.csv"], tmp_path, "referring_desc")
    assert rejects == [] and len(rows) == 4
    assert all(row["conversation"][1]["content"].count(PROTEIN) == 1 for row in rows)


def test_class_of():
    assert class_of("It belongs to Thioredoxin domain.") == "Thioredoxin domain"
    assert class_of("Thioredoxin domain") == "Thioredoxin domain"
    assert class_of("Isocitrate lyase.") == "Isocitrate lyase"


@pytest.mark.parametrize(
    "answer, groups, expected",
    [
        (
            f"The binding site annotations are: Binding site: a, b at {mark(1, 2)}, {mark(3, 4)} and {mark(5, 6)}; "
            f"[4Fe-4S] cluster at {mark(7, 8)}.",
            [[(1, 2), (3, 4), (5, 6)], [(7, 8)]],
            [("Binding site: a, b", [(1, 2), (3, 4), (5, 6)]), ("[4Fe-4S] cluster", [(7, 8)])],
        ),
        (f"A: {mark(1, 2)}, {mark(3, 4)}\nB: {mark(7, 8)}", [[(1, 2), (3, 4), (7, 8)]],
         [("A", [(1, 2), (3, 4)]), ("B", [(7, 8)])]),
        ("Two places.", [[(1, 2)], [(7, 8)]], [("domain 1", [(1, 2)]), ("domain 2", [(7, 8)])]),
        (f"A: {mark(1, 2)}", [[(1, 3)]], [("domain", [(1, 3)])]),
    ],
)  # fmt: skip
def test_group_names_from_the_answer(answer, groups, expected):
    as_spans = [[Span(*span) for span in group] for group in groups]
    assert name_groups(answer, "", as_spans, "grounding_group", "domain") == expected


def test_single_name_from_the_question():
    groups = [[Span(1, 2)]]
    for question in (
        "Where is Kringle located?",
        "Where is Kringle?",
        f"Find Kringle in the protein {PROTEIN}.",
        f"{PROTEIN}\nWhere  is\nKringle located ?",
        f"{PROTEIN}\nGive every place of Kringle. ",
    ):
        assert name_groups(mark(1, 2), question, groups, "grounding_single", "domain") == [
            ("Kringle", groups[0])
        ]


def test_mark_spans_accepts_bare_integers():
    assert mark_spans(f"{SPAN_OPEN}3, 8{SPAN_CLOSE}", [Span(3, 8)]) == mark(3, 8)


@pytest.mark.parametrize("places", [None, [], [[]]])
@pytest.mark.parametrize(("task", "classes"), [("grounding_single", ["Kringle"]), ("grounding_group", [])])
def test_a_record_may_say_that_there_is_nothing(tmp_path, places, task, classes):
    raw = record(answer="None.", position_grd=places)
    (row,), rejects, _ = run(tmp_path, [raw], task)
    assert rejects == [] and (row["answer"], row["classes"]) == ("none", classes)
    assert row["position_grd"] == [[] for _ in classes] and row["flags"] == ["absent_stated"]
    long = raw | {"sequence": SEQUENCE * 9}
    (row,), _, _ = run(tmp_path, [long], task, max_sequence_length=50)
    assert len(row["sequence"]) == 50 and row["answer"] == "none"
    _, rejects, _ = run(tmp_path, [raw | {"answer": "nothing"}], task)
    assert reasons(rejects) == ["no_position"]
