"""The evidence that stands below a place."""

from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN
from fragmodel.prediction.questions import Question
from fragmodel.serving.drawing import drawn
from fragmodel.vocabulary import Span

SEQUENCE = "MKV" * 100


def line(uid: str, text: str) -> dict:
    return {"id": uid, "identity": 0.5, "coverage": 0.9, "e_value": 1e-9, "text": text}


def spans(*places: tuple[int, int]) -> str:
    return ", ".join(f"{SPAN_OPEN}({start},{end}){SPAN_CLOSE}" for start, end in places)


def place(name: str, family: str, start: int, end: int, confidence: float | None = 0.5) -> dict:
    return {
        "class": name,
        "family": family,
        "start": start,
        "end": end,
        "confidence": confidence,
        "class_ids": [],
    }


def suggested(
    class_name: str, annotations: list[dict], asked: list[tuple[str, int, list[dict]]]
) -> list[list[list]]:
    """The evidence of each place of each track, of questions about windows of 200 residues from a start."""
    questions = [
        Question(
            "grounding_group", SEQUENCE[start : start + 200], Span(start, start + 200), family, class_name
        )
        for family, start, _ in asked
    ]
    row = {
        "id": "P12345",
        "length": 300,
        "annotations": annotations,
        "calibrated": False,
        "left_out": 0,
        "none": [],
        "texts": [],
        "evidence": [lines for *_, lines in asked],
        "faults": [],
    }
    tracks = drawn(row, SEQUENCE, questions)["tracks"]
    return [[[(e["id"], e["says"]) for e in p["evidence"]] for p in track["places"]] for track in tracks]


def test_relatives_speak_for_the_places_that_they_suggest():
    domain = [
        line("A1", f"SH3 domain: {spans((10, 20), (150, 160))}\nKinase: {spans((30, 90))}"),
        line("A2", f"sh3  domain: {spans((0, 200))}"),  # as names are compared in scoring
        line("A3", f"SH2 domain: {spans((10, 20))}"),
    ]
    later = [line("A4", f"SH3 domain: {spans((50, 60))}")]  # at 150 to 160 of the protein
    motif = [line("A5", f"SH3 domain: {spans((10, 20))}")]
    found = suggested(
        "",
        [
            place("SH3 domain", "domain", 12, 30),
            place("Kinase", "domain", 95, 99),
            place("SH3 domain", "domain", 155, 157),
        ],
        [("domain", 0, domain), ("motif", 0, motif), ("domain", 100, later)],
    )
    assert found == [
        [
            [("A1", "11–20, 151–160"), ("A2", "1–200")],
            [("A1", "11–20, 151–160"), ("A2", "1–200"), ("A4", "151–160")],
        ],
        [[]],
    ]


def test_of_one_class_lines_are_places_alone():
    found = suggested(
        "SH3 domain",
        [place("SH3 domain", "fragment", 12, 30)],
        [("fragment", 0, [line("A1", spans((10, 20))), line("A2", spans((40, 50)))])],
    )
    assert found == [[[("A1", "11–20")]]]
