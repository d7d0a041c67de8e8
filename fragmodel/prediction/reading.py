"""From the answers of a model to what they say of a protein."""

from collections.abc import Sequence

from fragmodel.data.grammar import says_none
from fragmodel.evaluation.candidates import ranked_places
from fragmodel.evaluation.parse import OK, parse_spans
from fragmodel.prediction.class_ids import ClassIds
from fragmodel.prediction.overlaps import merge
from fragmodel.prediction.questions import Answer, Question
from fragmodel.prediction.results import Absence, Annotation, Grounding, Reference
from fragmodel.vocabulary import Span


def read_places(
    questions: Sequence[Question], answers: Sequence[Answer], class_ids: ClassIds, *, calibrated: bool
) -> Grounding:
    """Read the answers about one protein's windows and merge what they say (:func:`merge`)."""
    by_window: dict[Span, list[Annotation]] = {}
    faults = []
    asked: dict[tuple[str, str], list[Answer]] = {}
    for question, answer in zip(questions, answers, strict=True):
        asked.setdefault((question.class_name, question.family), []).append(answer)
        parsed = parse_spans(answer.text, len(question.sequence))
        if parsed.status != OK:
            faults.append(parsed.status)
        shift = question.window.start
        places = [(question.class_name or name, span) for name, spans in parsed.groups for span in spans]
        sure = answer.places if len(answer.places) == len(places) else [None] * len(places)
        by_window.setdefault(question.window, []).extend(
            Annotation(
                name,
                Span(span.start + shift, span.end + shift),
                question.family,
                confidence,
                class_ids.of(name, question.family),
            )
            for (name, span), confidence in zip(places, sure, strict=True)
        )
    ranked = _ranked(questions, answers, class_ids)
    absences = (Absence(*key, _surely(given)) for key, given in asked.items() if _all_none(given))
    texts = tuple(answer.text for answer in answers)
    merged = tuple(merge(by_window.values()))
    return Grounding(merged, texts, tuple(faults), calibrated, tuple(absences), ranked)


def read_reference(question: Question, answer: Answer, class_ids: ClassIds, *, calibrated: bool) -> Reference:
    """An answer in words with the fragment, or the protein, that it is about."""
    span, shown = question.whole, question.span or Span(0, question.window.length)
    assert span is not None
    shift = question.window.start
    shown = Span(shown.start + shift, shown.end + shift)
    calibrated = answer.confidence is not None and calibrated
    ids = class_ids.of(answer.text, question.family) if question.task == "referring_class" else ()
    return Reference(
        answer.text, span, shown, answer.stopped, answer.confidence, calibrated, ids, answer.candidates
    )


def _ranked(
    questions: Sequence[Question], answers: Sequence[Answer], class_ids: ClassIds
) -> tuple[Annotation, ...]:
    """The places of all candidates by probability; one that two windows name has the higher of both."""
    best: dict[tuple[str, Span, str], float] = {}
    for question, answer in zip(questions, answers, strict=True):
        shift = question.window.start
        for name, span, probability in ranked_places(answer.candidates, len(question.sequence)):
            place = Span(span.start + shift, span.end + shift)
            key = (question.class_name or name, place, question.family)
            best[key] = max(best.get(key, 0.0), probability)
    return tuple(
        Annotation(name, span, family, probability, class_ids.of(name, family))
        for (name, span, family), probability in sorted(best.items(), key=lambda item: (-item[1], item[0][1]))
    )


def _all_none(answers: Sequence[Answer]) -> bool:
    return all(says_none(answer.text) for answer in answers)


def _surely(answers: Sequence[Answer]) -> float | None:
    """How probable it is that no window has anything, as the window tells that most probably has."""
    present = [answer.confidence for answer in answers if answer.confidence is not None]
    return 1 - max(present) if len(present) == len(answers) else None
