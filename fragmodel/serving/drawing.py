"""What the page draws of a result: places along the protein as in the report, each with the evidence for it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fragmodel.evaluation.parse import normalise, parse_spans
from fragmodel.evidence.find import PROFILE
from fragmodel.prediction.formats import Row
from fragmodel.prediction.questions import Question
from fragmodel.report.links import class_entry, protein_entry
from fragmodel.report.tracks import percent, place, ruler
from fragmodel.vocabulary import Span

Json = dict[str, Any]


def drawn(row: Row, sequence: str, questions: Sequence[Question]) -> Json:
    """A protein with what was found in it, or what was said of its fragments, for the page.

    ``questions`` are those of the row. Positions are 0-based and half-open; words for them count from 1.
    """
    shown = {
        "id": row["id"],
        "link": protein_entry(row["id"]),
        "sequence": sequence,
        "windows": len({question.window for question in questions}),
        "ruler": ruler(row["length"]),
    }
    if "fragments" in row:
        return shown | {"answers": [_answer(each) for each in row["fragments"]]}
    return shown | {
        "calibrated": row["calibrated"],
        "left_out": row["left_out"],
        "unread": sum(fault != "out_of_range" for fault in row["faults"]),
        "none": row["none"],
        "tracks": list(_tracks(row, questions)),
    }


def _tracks(row: Row, questions: Sequence[Question]) -> Iterator[Json]:
    """The places of a class together, families in the order in which they were asked for."""
    for family in dict.fromkeys(question.family for question in questions):
        classes: dict[str, list[Json]] = {}
        for found in row["annotations"]:
            if found["family"] == family:
                classes.setdefault(found["class"], []).append(found)
        for name, places in classes.items():
            yield {
                "name": name,
                "family": family,
                "class_ids": _ids(places[0]),
                "places": [_place(each, row, questions) for each in places],
            }


def _place(found: Json, row: Row, questions: Sequence[Question]) -> Json:
    left, width = percent(found["start"], found["end"], row["length"])
    return {
        "start": found["start"],
        "end": found["end"],
        "text": place(found["start"], found["end"]),
        "left": left,
        "width": width,
        "confidence": found["confidence"],
        "evidence": list(_suggesting(found, zip(questions, row["evidence"], strict=True))),
    }


def _suggesting(found: Json, asked: Iterable[tuple[Question, list[Json]]]) -> Iterator[Json]:
    """The relatives that suggest the class at or across the place."""
    for question, lines in asked:
        if question.family != found["family"] or question.class_name not in ("", found["class"]):
            continue
        for line in lines:
            start = question.window.start
            spans = [
                Span(span.start + start, span.end + start)
                for name, spans in parse_spans(line["text"], len(question.sequence)).groups
                if question.class_name or normalise(name) == normalise(found["class"])
                for span in spans
            ]
            if any(span.start < found["end"] and found["start"] < span.end for span in spans):
                yield _relative(line, ", ".join(place(*span) for span in spans))


def _answer(said: Json) -> Json:
    return {
        "start": said["start"],
        "end": said["end"],
        "place": place(said["start"], said["end"]),
        "shown": place(said["shown_start"], said["shown_end"]),
        "text": said["text"],
        "stopped": said["stopped"],
        "confidence": said["confidence"],
        "calibrated": said["calibrated"],
        "class_ids": _ids(said),
        "evidence": [_relative(line, line["text"]) for line in said["evidence"]],
    }


def _relative(line: Json, says: str) -> Json:
    return {
        "id": line["id"],
        "link": protein_entry(line["id"]),
        "how": _how(line),
        "says": says,
    }


def _how(line: Json) -> str:
    """How near the source of a line is."""
    like = "like the consensus" if line["id"] == PROFILE else "identical"
    return f"{100 * line['identity']:.0f} % {like} over {100 * line['coverage']:.0f} % of the window"


def _ids(found: Json) -> list[Json]:
    return [{"id": name, "link": class_entry(name)} for name in found["class_ids"]]
