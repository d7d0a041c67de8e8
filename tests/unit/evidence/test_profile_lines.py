"""What profiles of the training fragments add: copies of a repeat, and places that no single relative tells."""

import pytest
from planted import SPAN, protein, records, relative, write

from fragmodel.evidence.block import pointers, suggestions
from fragmodel.evidence.find import Question
from fragmodel.evidence.library import Known, Relative
from fragmodel.evidence.profiles import FOLDS, Profiles, suggest_held_out
from fragmodel.evidence.splits import EvidenceSearch
from fragmodel.evidence.stage import Tables, add_evidence
from fragmodel.evidence.transfer import Asked
from fragmodel.prediction.evidence import Evidence
from fragmodel.prediction.questions import Question as AskedOfModel
from fragmodel.tables import EVIDENCE, RECORDS, read_rows
from fragmodel.vocabulary import RELATIVES_FILE, Span

FAMILY = protein(1)
DOMAIN = FAMILY[SPAN[0] : SPAN[1]]
GROUP = Asked("grounding_group", "domain")


def member(uid, seed, name="Kinase", kind="domain"):
    """A training protein whose domain is a relative of the others', and the rest is its own."""
    sequence = protein(seed, 60) + relative(DOMAIN, 0.8, seed) + protein(seed + 100, 70)
    return Relative(uid, kind, sequence, [Known(name, Span(*SPAN), f"Described by {uid}.")])


LIBRARY = [member(f"P{number}", 20 + number) for number in range(8)]
TWO_COPIES = protein(70, 40) + relative(DOMAIN, 0.8, 71) + protein(72, 50) + relative(DOMAIN, 0.75, 73)


def near(found, expected):
    assert len(found) == len(expected)
    for span, other in zip(found, expected, strict=True):
        assert span == pytest.approx(other, abs=4)


def test_every_copy_is_found():
    (line,) = Profiles(LIBRARY).suggest([Question("N", TWO_COPIES, GROUP)]).values()
    near([known.span for known in sorted(line.fragments, key=lambda k: k.span)], [(40, 90), (140, 190)])
    assert line.text.startswith("Kinase: ") and line.uid == ""
    assert line.coverage == pytest.approx(100 / len(TWO_COPIES), abs=0.05)
    same = sum(a == b for a, b in zip(relative(DOMAIN, 0.8, 71), DOMAIN, strict=True)) / len(DOMAIN)
    assert line.identity == pytest.approx(same, abs=0.12), (
        "to the consensus, which is nearly the family's origin"
    )


def test_each_task_is_answered_by_what_the_profile_finds():
    asked = [
        Asked("grounding_single", "domain", "kinase"),
        Asked("grounding_single", "domain", "Zinc finger"),
        Asked("referring_class", "domain", place=Span(45, 85)),
        Asked("referring_desc", "domain", place=Span(45, 85)),
        Asked("referring_class", "domain", place=Span(0, 20)),
        Asked("function", "domain"),
        Asked("grounding_group", "motif"),
    ]
    lines = Profiles(LIBRARY).suggest([Question("N", TWO_COPIES, each) for each in asked])
    assert set(lines) == {0, 2, 3}, "that a class was not found, is no line"
    assert lines[2].text == "Kinase" and lines[2].overlap == pytest.approx(0.8, abs=0.08)
    assert lines[3].text == "Described by P0.", "the most frequent, then the first in the alphabet"


def test_a_protein_has_no_part_in_what_is_told_to_it():
    """A class of its own says nothing to its one protein, nor to another of the same sequence."""
    lone = member("LONE", 50, "Lone")
    twin = Relative("TWIN", "domain", lone.sequence, [Known("Lone", Span(*SPAN))])
    for library in ([*LIBRARY, lone], [*LIBRARY, lone, twin]):
        questions = [Question(each.uid, each.sequence, GROUP) for each in library]
        lines = suggest_held_out(questions, library)
        heard = {number: {known.class_name for known in line.fragments} for number, line in lines.items()}
        assert all(heard[number] == {"Kinase"} for number in range(len(LIBRARY), len(library)))
        assert {"Lone"} < set().union(*heard.values()), "the others hear of it"
        alone = Profiles(library).suggest(questions)
        assert {"Lone", "Kinase"} == {known.class_name for n in alone for known in alone[n].fragments}


def test_all_parts_of_the_training_proteins_are_asked():
    library = [member(f"Q{number}", 200 + number) for number in range(6 * FOLDS)]
    lines = suggest_held_out([Question(each.uid, each.sequence, GROUP) for each in library], library)
    assert len(lines) >= len(library) - 2


def test_training_hears_nothing_more_certain_than_validation_does():
    search = EvidenceSearch(LIBRARY, max_lines=3, max_e_value=1e-30, profiles=True)
    questions = [Question(each.uid, each.sequence, GROUP) for each in LIBRARY]
    assert sum(map(bool, search.of_training(questions))) >= len(LIBRARY) - 1
    search.of_validation([Question("V", protein(90), GROUP)])
    assert not any(search.of_training(questions)), "validation has no hit at all"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiles")
    near_one = relative(FAMILY, 0.7, 3)
    splits = {
        "train": [records(each.uid, each.sequence) for each in LIBRARY] + [records("A1", FAMILY)],
        "valid": [records("V1", TWO_COPIES, span=(40, 90))],
        "test": [records("T1", near_one), records("T2", TWO_COPIES, span=(40, 90))],
    }
    tables = [
        Tables(split, path, folder / "questions" / task / path.name)
        for split, proteins in splits.items()
        for task, path in write(folder, split, *proteins).items()
    ]
    add_evidence(
        tables,
        lines=folder / "lines.parquet",
        relatives=folder / RELATIVES_FILE,
        kind_of=lambda name: "domain",
        max_lines=1,
        profiles=True,
    )
    return folder


def test_a_question_says_so_behind_the_relatives(made):
    rows = read_rows(made / "questions/grounding_group/test.parquet", RECORDS)
    text = next(row["conversation"][-1]["content"] for row in rows if row["uid"] == "T2")
    first, last = text.split("\n")[-2:]
    assert first.startswith("1. ") and " %: Kinase: " in first
    assert last.startswith("2. profile: Kinase: ")
    assert suggestions(text)[1].count("(") == 2 > suggestions(text)[0].count("(")
    assert pointers(text) == 2


def test_what_both_say_stands_once_and_is_the_relatives(made):
    told = [row for row in read_rows(made / "lines.parquet", EVIDENCE) if row["record_id"] == "T1:class"]
    assert [(row["rank"], row["text"]) for row in told] == [(1, "Kinase")]
    assert told[0]["uid"]


def test_a_model_in_use_finds_the_same(made):
    rows = read_rows(made / "lines.parquet", EVIDENCE)
    expected = [(row["uid"], row["text"]) for row in rows if row["record_id"] == "T2:group"]
    question = AskedOfModel("grounding_group", TWO_COPIES, Span(0, len(TWO_COPIES)), "domain")
    (lines,) = Evidence.of(made).about([question])
    assert [(line.uid, line.text) for line in lines] == expected
